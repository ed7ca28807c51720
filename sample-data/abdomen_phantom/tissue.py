"""How dense each tissue is, in Hounsfield units, in each contrast phase."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from abdomen_phantom.patient import Finding, Patient, Phase

AIR_HU = -1000.0
GAS_HU = -950.0
LUNG_HU = -840.0
FAT_HU = -105.0
WATER_HU = 8.0
SKIN_HU = 30.0
CARTILAGE_HU = 110.0
MARROW_HU = 140.0
CORTEX_HU = 560.0
DISC_HU = 85.0
CALCIUM_HU = 700.0


@dataclass(frozen=True)
class Tissue:
    """Densities in Hounsfield units that depend on the phase or the patient."""

    muscle: float
    liver: float
    spleen: float
    renal_cortex: float
    renal_medulla: float
    pancreas: float
    bowel_wall: float
    aorta: float
    cava: float
    portal_vein: float
    hepatic_veins: float
    heart: float


_BY_PHASE = {
    Phase.NATIVE: Tissue(
        muscle=52, liver=58, spleen=48, renal_cortex=33, renal_medulla=30, pancreas=38, bowel_wall=36,
        aorta=42, cava=40, portal_vein=40, hepatic_veins=40, heart=42,
    ),
    Phase.ARTERIAL: Tissue(
        muscle=56, liver=70, spleen=122, renal_cortex=195, renal_medulla=75, pancreas=105, bowel_wall=82,
        aorta=310, cava=75, portal_vein=115, hepatic_veins=66, heart=230,
    ),
    Phase.PORTAL_VENOUS: Tissue(
        muscle=62, liver=108, spleen=120, renal_cortex=190, renal_medulla=160, pancreas=92, bowel_wall=84,
        aorta=155, cava=145, portal_vein=170, hepatic_veins=160, heart=145,
    ),
}  # fmt: skip


def tissue_of(patient: Patient, rng: np.random.Generator) -> Tissue:
    """The patient's own densities: the phase's, with the spread between people and the timing of the injection.

    A fatty liver is 25 to 40 HU less dense than a sound one, and its vessels stand out.
    """
    contrast = float(np.clip(rng.normal(1.0, 0.07), 0.86, 1.14))
    native, typical = asdict(_BY_PHASE[Phase.NATIVE]), asdict(_BY_PHASE[patient.phase])
    tissue = Tissue(**{name: native[name] + contrast * (typical[name] - native[name]) for name in native})
    loss = float(rng.uniform(25, 40)) if Finding.FATTY_LIVER in patient.findings else float(rng.normal(0, 3))
    return replace(tissue, liver=tissue.liver - loss, spleen=tissue.spleen + float(rng.normal(0, 2.5)))
