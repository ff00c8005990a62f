"""The published networks whose weights can be read, by the name that `architecture=` takes."""

from src.runtime.reference_carn_m import CARN_M
from src.runtime.reference_csnln import CSNLN
from src.runtime.reference_demosaicnet import DEMOSAICNET
from src.runtime.reference_denoisers import DNCNN, FFDNET
from src.runtime.reference_enlargers import FSRCNN, IMDN, VDSR
from src.runtime.reference_layout import Layout
from src.runtime.reference_panet import PA_EDSR, PANET
from src.runtime.reference_spandrel import SPANDREL

LAYOUTS: dict[str, Layout] = {
    "panet": PANET,
    "pa_edsr": PA_EDSR,
    "csnln": CSNLN,
    "carn_m": CARN_M,
    "demosaicnet": DEMOSAICNET,
    "dncnn": DNCNN,
    "ffdnet": FFDNET,
    "fsrcnn": FSRCNN,
    "imdn": IMDN,
    "vdsr": VDSR,
    "spandrel": SPANDREL,
}
