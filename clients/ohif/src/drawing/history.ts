/** Undo and redo of what is drawn: the changes of each stroke, kept as the voxels that it changed. */

export interface Change {
  places: Uint32Array;
  before: Uint8Array;
  after: Uint8Array;
  /** Which stroke it was, counted from one. */
  stroke: number;
}

/** A part of a labelmap, such as a slice: its values, and the place of the first one in the whole. */
export interface Part {
  start: number;
  values: ArrayLike<number>;
}

/** Voxels that all strokes in the history may hold together: about 100 MB. */
const MOST_VOXELS = 16_000_000;

/** What was drawn, as a copy of the labelmap beside which each stroke is compared. */
export class History {
  private readonly done: Change[] = [];
  private undone: Change[] = [];
  private strokes = 0;
  /** The last stroke that can no longer be taken back. */
  private first = 0;

  /** `values` is copied: it is the state before the first stroke. */
  constructor(
    values: Uint8Array,
    private readonly mostVoxels = MOST_VOXELS
  ) {
    this.values = values.slice();
  }

  /** The labelmap after the last stroke that was recorded. */
  readonly values: Uint8Array;

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** The stroke after which the labelmap was as it is now: it is the same again when it is undone or redone to there. */
  get position(): number {
    return this.done.at(-1)?.stroke ?? this.first;
  }

  /** Record what is different in `parts`, as one step. Returns whether anything is. */
  record(parts: Iterable<Part>): boolean {
    const change = this.compare(parts);
    if (change.places.length === 0) {
      return false;
    }
    this.write(change.places, change.after);
    this.done.push(change);
    this.strokes++;
    this.undone = [];
    let kept = 0;
    const first = this.done.findLastIndex(({ places }) => (kept += places.length) > this.mostVoxels);
    const forgotten = this.done.splice(0, Math.min(first + 1, this.done.length - 1));
    this.first = forgotten.at(-1)?.stroke ?? this.first;
    return true;
  }

  /** Take back the last step. Returns the voxels to write and their values; nothing if there is no step. */
  undo(): [Uint32Array, Uint8Array] | undefined {
    const change = this.done.pop();
    if (change === undefined) {
      return undefined;
    }
    this.undone.push(change);
    this.write(change.places, change.before);
    return [change.places, change.before];
  }

  /** Repeat the step that was taken back last. */
  redo(): [Uint32Array, Uint8Array] | undefined {
    const change = this.undone.pop();
    if (change === undefined) {
      return undefined;
    }
    this.done.push(change);
    this.write(change.places, change.after);
    return [change.places, change.after];
  }

  private compare(parts: Iterable<Part>): Change {
    const places: number[] = [];
    const after: number[] = [];
    for (const { start, values } of parts) {
      for (let index = 0; index < values.length; index++) {
        const value = values[index] ?? 0;
        if (this.values[start + index] !== value) {
          places.push(start + index);
          after.push(value);
        }
      }
    }
    return {
      places: Uint32Array.from(places),
      before: Uint8Array.from(places, place => this.values[place] ?? 0),
      after: Uint8Array.from(after),
      stroke: this.strokes + 1,
    };
  }

  private write(places: Uint32Array, values: Uint8Array): void {
    places.forEach((place, index) => {
      this.values[place] = values[index] ?? 0;
    });
  }
}
