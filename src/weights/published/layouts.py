"""The published networks whose weights can be read, by the name that `architecture=` takes."""

from src.weights.published.carn_m import CARN_M
from src.weights.published.csnln import CSNLN
from src.weights.published.demosaicnet import DEMOSAICNET
from src.weights.published.denoisers import DNCNN, FFDNET
from src.weights.published.enlargers import FSRCNN, IMDN, VDSR
from src.weights.published.layout import Layout
from src.weights.published.panet import PA_EDSR, PANET
from src.weights.published.spandrel import SPANDREL

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
