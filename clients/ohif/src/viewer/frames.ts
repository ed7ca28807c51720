/**
 * OHIF writes the slices of a SEG in the order in which it lists them, and assumes that the last slice along the normal
 * comes first. In a series with the opposite order, each drawing is stored on the mirrored slice: that of the fourth
 * slice on the last but three. The slices are therefore listed in the assumed order while a SEG is made.
 */

import { at } from '../volumes/grid.ts';
import type { Command, CommandsManager, ExtensionManager, Segmentation, SegmentationService } from './ohif.ts';
import { lineOf } from '../server/server.ts';

interface Plane {
  rowCosines: ArrayLike<number>;
  columnCosines: ArrayLike<number>;
  imagePositionPatient: ArrayLike<number>;
}

function along(imageId: string): number {
  const { cache, metaData } = window.cornerstone;
  const plane = metaData.get('imagePlaneModule', cache.getImage(imageId)?.referencedImageId ?? '') as Plane;
  const [a, b, c] = [0, 1, 2].map(axis => at(plane.rowCosines, axis)) as [number, number, number];
  const [d, e, f] = [0, 1, 2].map(axis => at(plane.columnCosines, axis)) as [number, number, number];
  const [x, y, z] = [0, 1, 2].map(axis => at(plane.imagePositionPatient, axis)) as [number, number, number];
  return x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d);
}

async function inOrderOfFrames(segmentation: Segmentation | undefined, make: () => unknown): Promise<unknown> {
  if (segmentation === undefined) {
    return make();
  }
  const labelmap = segmentation.representationData.Labelmap;
  const shipped = labelmap.imageIds;
  const places = new Map(shipped.map(imageId => [imageId, along(imageId)]));
  labelmap.imageIds = [...shipped].sort((one, other) => (places.get(other) ?? 0) - (places.get(one) ?? 0));
  try {
    return await make();
  } finally {
    labelmap.imageIds = shipped;
  }
}

function complete(commands: CommandsManager, name: string, how: (shipped: Command) => Command['commandFn']): void {
  const shipped = commands.getCommand(name, 'SEGMENTATION');
  if (shipped !== undefined && shipped.completed !== true) {
    commands.registerCommand('SEGMENTATION', name, { ...shipped, completed: true, commandFn: how(shipped) });
  }
}

export function completeDownload(commands: CommandsManager, segmentations: SegmentationService): void {
  complete(commands, 'downloadSegmentation', shipped => options => {
    const segmentation = segmentations.getSegmentation(String(options.segmentationId));
    return inOrderOfFrames(segmentation, () => shipped.commandFn(options));
  });
}

/** The server's one line, if an answer of the PACS has one. */
function reasonOf(error: unknown): string {
  const { response, status, message } = error as { response?: unknown; status?: number; message?: string };
  return typeof response === 'string' ? lineOf(response, status ?? 0) : (message ?? String(error));
}

/** The menu's "Export DICOM SEG" names no data source, so that the command fails, and it shows no result. */
export function completeExport(
  commands: CommandsManager,
  extensions: ExtensionManager,
  segmentations: SegmentationService,
  tell: (type: 'success' | 'error', message: string) => void
): void {
  complete(commands, 'storeSegmentation', shipped => async options => {
    const [dataSource] = extensions.getActiveDataSource();
    const segmentation = segmentations.getSegmentation(String(options.segmentationId));
    try {
      const seg = await inOrderOfFrames(segmentation, () => shipped.commandFn({ dataSource, ...options }));
      if (seg) {
        tell('success', 'The segmentation is stored, and a label now.');
      }
      return seg;
    } catch (error) {
      tell('error', reasonOf(error));
      return undefined;
    }
  });
}
