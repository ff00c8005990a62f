// Exact patch attention without a score matrix: forward and backward, any CPU, float and double.
//
// The score of two 3x3 patches is a sum over nine aligned shifts of a dot product of pixels,
//   S[i,j] = scale / |K_j| * sum_d q(i+d).k(j+d),
// so S is a box filter along the diagonals of P[p,r] = q_p.k_r, and pasting is the transpose of that:
//   O[p] = sum_r v_r * D[p,r],   D = diagonal box filter of the attention weights.
//
// A query row meets a few key rows at a time, and both advance together along a diagonal. Then the box
// filter along y is a sum of the last three tiles, which stay in the second-level cache. Nothing of the size
// queries x keys is ever stored: a first sweep finds each query's softmax denominator, a second one
// pastes; backward sweeps the same way.

#include "patch_backward.h"
#include "patch_forward.h"

#define EXPORT(direction, type)                                                    \
    extern "C" int patch_attention_##direction##_##type(const PatchAttention* p) { \
        return guarded([&] { direction<type>(*p); });                              \
    }
EXPORT(forward, float)
EXPORT(forward, double)
EXPORT(backward, float)
EXPORT(backward, double)
