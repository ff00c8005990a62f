"""What a report says of its numbers: how to read them, and where to doubt them."""

from collections.abc import Iterator, Mapping, Sequence

from src.commands.compare.costs import BUSY_PERCENT, Costs
from src.commands.compare.outcome import Standing
from src.commands.compare.tables import title

HOW_TO_READ = """\
Gain: score minus that of the reference, image by image, averaged over seeds and images; in brackets
the 95 % interval (seeds and images drawn anew independently, spread as Student's t, since how much
a few seeds vary is known badly; of fewer than 6 images there is none). p: two-sided, by the same
resamples, corrected after Holm for all blocks and scores of its table. Before that correction three
seeds have p below 0.05 in some 5 to 8 of 100 cases where nothing is gained, two in some 11. Effect:
mean over deviation of the images' gains. Visible: the true gain that about 4 of 5 repetitions would
have shown at the strictest step of Holm. Rows are in the order of gains. Scores are means over the
seeds that a block has, which may be others than those of the block above it: compare gains."""
ALONE = "Only the reference is finished, so nothing is compared."
ONE_SEED = """\
ONE SEED: where "varied" says images alone, interval, p and visible gain are over images. They say
nothing of what another training of the same block would give; the overview has no * there."""
OTHER_MACHINE = """\
the reference of that seed was trained on another machine, which may round differently."""
NOT_FINITE = """\
no finite score: the training diverged, or the image is restored without any error. Means leave such
seeds out; gains leave out such images in all seeds of that block, and seeds that have no other."""
EQUAL_TIME = """\
A step is forward, loss, backward and optimizer on a batch that is there; in brackets the quartiles
of steps that took turns with those of the other blocks. At equal time: how far a block is when the
reference has done all its steps, by these times, and its gain then on the validation images, read
off the curves of its trainings: none before the first validation, and a block that is not done then
has not lowered its learning rate to the end. GFLOP are those of a forward pass on one patch."""
BUSY = """\
Other work kept {:.0f} % of the machine's cores busy when steps were timed: times are doubtful."""
NO_TIMES = """\
What a step of these cells takes was not measured, or before their words or folders were as they are
now: add cost=true to the command, with the folders that their trainings were given, on a machine
that does nothing else."""


def how_to_read(
    standings: Mapping[tuple[str, str], Sequence[Standing]], reference: str, costs: Costs
) -> list[str]:
    """Return the sentences before the tables, doubts first.

    ``standings`` has the blocks of each set, by what else is varied and the set's name.
    """
    about = [HOW_TO_READ, EQUAL_TIME if costs.steps else NO_TIMES]
    if costs.steps and costs.busy_percent > BUSY_PERCENT:
        about.append(BUSY.format(costs.busy_percent))
    every = [row for rows in standings.values() for row in rows]
    if any(one.seeds == 1 for row in every for one, *_ in row.gains.values()):
        about.insert(0, ONE_SEED)
    for (condition, _), rows in standings.items():
        if reference not in {row.block for row in rows}:
            about.insert(
                0, title(condition, f"{reference} is not finished, so nothing is compared.")
            )
        elif strange := list(_of_two_machines(rows, reference)):
            about.insert(0, title(condition, f"{', '.join(strange)}: {OTHER_MACHINE}"))
        elif len(rows) == 1:
            about.insert(0, title(condition, ALONE))
    about[:0] = _diverged(standings)
    return [" ".join(text.split()) for text in dict.fromkeys(about)]


def _diverged(standings: Mapping[tuple[str, str], Sequence[Standing]]) -> Iterator[str]:
    """Yield by set which cells have images without a finite score."""
    for (condition, name), rows in standings.items():
        if odd := sorted(cell for row in rows for cell in _without_score(row, name)):
            yield title(condition, f"{name}: {', '.join(odd)}: {NOT_FINITE}")


def _of_two_machines(rows: Sequence[Standing], reference: str) -> Iterator[str]:
    """Yield block and seed of each gain over a reference that was trained on another machine."""
    references = next(row.cells for row in rows if row.block == reference)
    for row in sorted(rows, key=lambda row: row.block):
        for seed in sorted(set(row.cells) & set(references)):
            if row.cells[seed].machine != references[seed].machine:
                yield f"{row.block} (seed {seed})"


def _without_score(row: Standing, name: str) -> Iterator[str]:
    """Yield block, seed and number of the images of a set that have no finite score."""
    for seed, cell in sorted(row.cells.items()):
        restored = cell.record["benchmarks"][name]["restored"].values()
        lacking = sum(None in scores.values() for scores in restored)
        if lacking:
            yield f"{row.block} (seed {seed}, {lacking} of {len(restored)} images)"
