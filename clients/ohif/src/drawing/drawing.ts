/** The labelmap of a case in the viewer: made, filled, watched for strokes, and read again. */

import { colourOf } from './colours.ts';
import { digestOf } from './digest.ts';
import type { Drawn, DrawnFile, LabelInfo, OnStroke } from './drawn.ts';
import { type Grid, at, gridOf, reordered } from '../volumes/grid.ts';
import { History, type Part } from './history.ts';
import { type Volume, writeMask } from '../volumes/nifti.ts';
import type { LabelmapVolume, Segment, SegmentationEvent, Services } from '../viewer/ohif.ts';
import { viewportsOf } from '../viewer/viewports.ts';
import { until } from '../viewer/waiting.ts';

const LONGEST_STROKE_MS = 5000;

export class Drawing implements Drawn {
  private readonly history: History;
  private readonly grid: Grid;
  private touched: Set<number> | 'all' = new Set();
  private pressed = false;
  private writing = false;
  /** As they were when the segmentation was last there: the viewer removes it before it says that a study is left. */
  private segments: Record<string, Segment | undefined> = {};
  /** Where the history was when the drawing was opened or last kept; nothing if it was not kept. */
  private kept: number | undefined;

  readonly opened: string;

  private constructor(
    private readonly services: Services,
    private readonly id: string,
    private readonly volume: LabelmapVolume,
    private readonly onStroke: OnStroke
  ) {
    this.grid = gridOf(volume);
    const values = new Uint8Array(this.grid.shape.reduce((product, length) => product * length, 1));
    for (const part of this.parts()) {
      values.set(part.values, part.start);
    }
    this.history = new History(values);
    this.kept = this.history.position;
    this.opened = digestOf(this.history.values);
    this.record();
    const { Events } = window.cornerstoneTools.Enums;
    window.cornerstone.eventTarget.addEventListener(Events.SEGMENTATION_DATA_MODIFIED, this.noteTouched);
    window.addEventListener('pointerdown', this.press, true);
    window.addEventListener('pointerup', this.lift, true);
  }

  /** Draw structures of these names on a series that the viewer shows, over a mask if there is one. */
  static async open(
    services: Services,
    series: string,
    labels: readonly string[],
    mask: Volume<Uint8Array> | undefined,
    onStroke: OnStroke
  ): Promise<Drawing> {
    const { segmentationService, displaySetService } = services;
    const shown = viewportsOf(services, series);
    const uid = shown[0]?.displaySetInstanceUIDs[0];
    const displaySet = uid === undefined ? undefined : displaySetService.getDisplaySetByUID(uid);
    if (displaySet === undefined) {
      throw new Error(`the viewer does not show the series ${series}`);
    }
    const id = `activelabel-${series}`;
    if (segmentationService.getSegmentation(id) === undefined) {
      const segments = Object.fromEntries(
        labels.map((label, index) => [index + 1, { segmentIndex: index + 1, label, active: index === 0, locked: false }])
      );
      await segmentationService.createLabelmapForDisplaySet(displaySet, { segmentationId: id, label: 'Structures', segments });
    }
    for (const { viewportId } of shown) {
      if (segmentationService.getSegmentationRepresentations(viewportId, { segmentationId: id }).length === 0) {
        await segmentationService.addSegmentationRepresentation(viewportId, { segmentationId: id });
      }
    }
    const volume = await until(() => segmentationService.getLabelmapVolume(id) ?? undefined, 'the labelmap');
    for (const { viewportId } of shown) {
      segmentationService.setActiveSegmentation(viewportId, id);
      labels.forEach((_, index) => {
        segmentationService.setSegmentColor(viewportId, id, index + 1, colourOf(index + 1));
      });
    }
    segmentationService.setActiveSegment(id, 1);
    if (mask !== undefined) {
      fill(volume, id, reordered(mask.values, mask.grid, gridOf(volume)));
    }
    return new Drawing(services, id, volume, onStroke);
  }

  get changed(): boolean {
    return this.history.position !== this.kept;
  }

  get empty(): boolean {
    return this.history.values.every(value => value === 0);
  }

  get canUndo(): boolean {
    return this.history.canUndo;
  }

  get canRedo(): boolean {
    return this.history.canRedo;
  }

  undo(): void {
    this.write(this.history.undo());
  }

  redo(): void {
    this.write(this.history.redo());
  }

  restore(slices: readonly Part[]): boolean {
    for (const { start, values } of slices) {
      imageAt(this.volume, start / this.sliceSize)?.voxelManager.getScalarData().set(values);
    }
    this.tellWritten(slices.map(({ start }) => start / this.sliceSize));
    const changes = this.history.record(slices);
    if (changes) {
      this.onStroke(this.slicesAt(this.history.latest));
    }
    return changes;
  }

  choose(segment: number): void {
    this.services.segmentationService.setActiveSegment(this.id, segment);
  }

  async file(): Promise<DrawnFile> {
    if (this.pressed) {
      await this.strokeEnds();
    }
    this.record();
    this.kept = this.history.position;
    const { values, names } = renumbered(this.history.values, this.segments);
    return { mask: await writeMask({ grid: this.grid, values }), label_info: names, digest: digestOf(values) };
  }

  notKept(): void {
    this.kept = undefined;
  }

  remove(): void {
    const { segmentationService } = this.services;
    if (segmentationService.getSegmentation(this.id) !== undefined) {
      segmentationService.remove(this.id);
    }
  }

  close(): void {
    this.record();
    const { Events } = window.cornerstoneTools.Enums;
    window.cornerstone.eventTarget.removeEventListener(Events.SEGMENTATION_DATA_MODIFIED, this.noteTouched);
    window.removeEventListener('pointerdown', this.press, true);
    window.removeEventListener('pointerup', this.lift, true);
  }

  /** A stroke that is being drawn is whole when the button is released. It is not waited for without an end. */
  private strokeEnds(): Promise<void> {
    return new Promise(resolve => {
      const ended = (): void => {
        window.removeEventListener('pointerup', ended, true);
        setTimeout(resolve);
      };
      window.addEventListener('pointerup', ended, true);
      setTimeout(ended, LONGEST_STROKE_MS);
    });
  }

  private readonly press = (): void => {
    this.pressed = true;
  };

  // Tools change the labelmap when the button is released, some of them after this event.
  private readonly lift = (): void => {
    this.pressed = false;
    setTimeout(this.record);
  };

  private readonly noteTouched = (event: Event): void => {
    const { segmentationId, modifiedSlicesToUse } = (event as SegmentationEvent).detail;
    if (segmentationId !== this.id || this.writing) {
      return;
    }
    if (modifiedSlicesToUse === undefined || modifiedSlicesToUse.length === 0) {
      this.touched = 'all';
    } else if (this.touched !== 'all') {
      modifiedSlicesToUse.forEach(slice => (this.touched as Set<number>).add(slice));
    }
    if (!this.pressed) {
      setTimeout(this.record);
    }
  };

  private readonly record = (): void => {
    this.segments = this.services.segmentationService.getSegmentation(this.id)?.segments ?? this.segments;
    const touched = this.touched;
    this.touched = new Set();
    if ((touched === 'all' || touched.size > 0) && this.history.record(this.parts(touched))) {
      this.onStroke(this.slicesAt(this.history.latest));
    }
  };

  private *parts(slices: Set<number> | 'all' = 'all'): Generator<Part> {
    const size = this.sliceSize;
    for (let slice = 0; slice < this.volume.imageIds.length; slice++) {
      if (slices === 'all' || slices.has(slice)) {
        // A slice of a case that is being left is no longer there: what was recorded of it stays.
        const image = imageAt(this.volume, slice);
        if (image !== undefined) {
          yield { start: slice * size, values: image.voxelManager.getScalarData() };
        }
      }
    }
  }

  private write(change: [Uint32Array, Uint8Array] | undefined): void {
    if (change === undefined) {
      return;
    }
    const [places, values] = change;
    const size = this.sliceSize;
    const slices = new Map<number, Uint8Array>();
    places.forEach((place, index) => {
      const slice = Math.floor(place / size);
      const known = slices.get(slice) ?? imageAt(this.volume, slice)?.voxelManager.getScalarData();
      if (known !== undefined) {
        slices.set(slice, known);
        known[place % size] = at(values, index);
      }
    });
    this.tellWritten([...slices.keys()]);
    this.onStroke(this.slicesAt(places));
  }

  /** Have the viewer show slices that were written here, which is no stroke. */
  private tellWritten(slices: number[]): void {
    this.writing = true;
    try {
      tell(this.id, slices);
    } finally {
      this.writing = false;
    }
  }

  private get sliceSize(): number {
    return this.grid.shape[0] * this.grid.shape[1];
  }

  /** The slices that hold these voxels, as they are now. */
  private slicesAt(places: Uint32Array): Part[] {
    const size = this.sliceSize;
    const starts = new Set<number>();
    places.forEach(place => starts.add(place - (place % size)));
    return [...starts].map(start => ({ start, values: this.history.values.subarray(start, start + size) }));
  }
}

function imageAt(volume: LabelmapVolume, slice: number) {
  const imageId = volume.imageIds[slice];
  return imageId === undefined ? undefined : window.cornerstone.cache.getImage(imageId);
}

function tell(id: string, slices?: number[]): void {
  window.cornerstoneTools.segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(id, slices);
}

function fill(volume: LabelmapVolume, id: string, values: Uint8Array): void {
  const size = values.length / volume.imageIds.length;
  volume.imageIds.forEach((_, slice) => {
    imageAt(volume, slice)?.voxelManager.getScalarData().set(values.subarray(slice * size, (slice + 1) * size));
  });
  tell(id);
}

/** The values as 1..N in the order of the segments, since segments may be added and removed, and their names. */
export function renumbered(
  values: Uint8Array,
  segments: Record<string, { label: string } | undefined>
): { values: Uint8Array; names: LabelInfo[] } {
  const kept = Object.entries(segments)
    .filter((entry): entry is [string, { label: string }] => entry[1] !== undefined)
    .sort(([one], [other]) => Number(one) - Number(other));
  const table = new Uint8Array(256);
  kept.forEach(([value], index) => (table[Number(value)] = index + 1));
  const names = kept.map(([, { label }], index) => ({ name: label, idx: index + 1 }));
  return { values: values.map(value => table[value] ?? 0), names };
}
