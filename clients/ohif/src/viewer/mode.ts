/** OHIF's MONAI Label mode, which the list of studies then offers for PET too. */

const ID = '@ohif/mode-monai-label';
/** Modalities of volumes, in DICOM's terms. */
const VOLUMES = new Set(['CT', 'MR', 'NM', 'PT']);

interface Mode {
  isValidMode: (study: { modalities: string }) => { valid: boolean; description: string };
}

interface ModeModule {
  modeFactory: (options: object) => Mode;
}

/** Whether a study with these modalities, as DICOM lists them, has a volume. */
export function hasVolume(modalities: string): boolean {
  return modalities.split('\\').some(modality => VOLUMES.has(modality));
}

/** Of two modes with one id OHIF takes the first, which is that of the configuration. */
export const MODE_MODULE = {
  id: ID,

  async modeFactory({ loadModules, ...options }: { loadModules: (names: string[]) => Promise<ModeModule[]> }): Promise<Mode> {
    const [shipped] = await loadModules([ID]);
    if (shipped === undefined) {
      throw new Error(`OHIF has no ${ID}`);
    }
    const description = 'The mode is for volumes: CT, MR, PET and NM';
    return {
      ...shipped.modeFactory(options),
      isValidMode: ({ modalities }) => ({ valid: hasVolume(modalities), description }),
    };
  },
};
