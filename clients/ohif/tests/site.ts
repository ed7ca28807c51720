/** Stand-ins for a server with cases and for a viewer, which note what is asked of them. */

import assert from 'node:assert/strict';

import type { Drawn } from '../src/drawing.ts';
import { type Volume, writeMask } from '../src/nifti.ts';
import { Away, type Query, Refusal, type Sample, type Saved, type Server } from '../src/server.ts';
import { Session } from '../src/session.ts';
import type { Viewer } from '../src/viewer.ts';

const sampleOf = (id: string): Sample => ({ id, StudyInstanceUID: `study of ${id}`, SeriesInstanceUID: id, PatientID: id });

export const queryOf = (image: string, more: Partial<Query> = {}): Query => ({
  image,
  role: 'training',
  kind: 'volume',
  plane: null,
  slices: [],
  reason: `why ${image}`,
  model_version: null,
  draft: false,
  returned: null,
  ...more,
});

export class FakeDrawing implements Drawn {
  changed = false;
  empty = true;
  canUndo = false;
  canRedo = false;
  closed = false;
  constructor(readonly onStroke: () => void) {}
  draw(): void {
    this.changed = this.canUndo = true;
    this.empty = false;
    this.onStroke();
  }
  undo(): void {
    this.canUndo = false;
    this.onStroke();
  }
  redo(): void {
    this.onStroke();
  }
  file(): Promise<{ mask: Blob; label_info: { name: string; idx: number }[] }> {
    this.changed = false;
    return Promise.resolve({ mask: new Blob(['mask']), label_info: [{ name: 'ball', idx: 1 }] });
  }
  notKept(): void {
    this.changed = true;
  }
  close(): void {
    this.closed = true;
  }
}

/** A server with cases in an order, and a viewer that shows what it is told to; both note what is asked of them. */
export class Site {
  readonly log: string[] = [];
  readonly cases = ['a', 'b', 'c'];
  held: Query | null = null;
  away = false;
  loginEnded = false;
  hasModel = false;
  saved: Saved = { state: 'finished' };
  refusal: string | undefined;
  /** What happens while a label is being saved. */
  onSave: (() => void) | undefined;
  shownSeries = 'a';
  masks: (Volume<Uint8Array> | undefined)[] = [];
  now = 0;
  readonly session: Session<FakeDrawing>;

  constructor() {
    const viewer: Viewer<FakeDrawing> = {
      shown: () => Promise.resolve(this.shownSeries),
      show: ({ SeriesInstanceUID }) => {
        this.shownSeries = SeriesInstanceUID;
        this.log.push(`show ${SeriesInstanceUID}`);
      },
      open: (_series, _labels, mask, onStroke) => {
        this.masks.push(mask);
        return Promise.resolve(new FakeDrawing(onStroke));
      },
      jump: (query, place) => this.log.push(`jump to ${query.slices[place]?.ohif_number ?? 0}`),
    };
    this.session = new Session(this.server(), viewer, () => undefined, () => this.now);
  }

  /** Ask for a case, and open it as OHIF does: it leaves the study and enters the next one, sometimes twice. */
  async ask(): Promise<void> {
    await this.session.next();
    await this.navigate();
  }

  async navigate(): Promise<void> {
    await this.session.leave();
    void this.session.enter();
    await this.session.leave();
    await this.session.enter();
  }

  private server(): Server {
    const asked = <T>(what: string, answer: () => T | Promise<T>): Promise<T> => {
      this.log.push(what);
      if (this.loginEnded) {
        return Promise.reject(new Refusal(401, 'the login has ended'));
      }
      return this.away ? Promise.reject(new Away()) : Promise.resolve().then(answer);
    };
    const mask = async (): Promise<ArrayBuffer> => {
      const grid = { shape: [1, 1, 1] as [number, number, number], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]] as [number[], number[], number[]] };
      return (await writeMask({ grid, values: Uint8Array.from([1]) })).arrayBuffer();
    };
    const keep = (what: string) => (image: string, _mask: Blob, params: object) =>
      asked(`${what} ${image} ${JSON.stringify(params)}`, () => {
        if (this.refusal !== undefined) {
          throw new Refusal(422, this.refusal);
        }
        if (what === 'save') {
          this.onSave?.();
        }
        return what === 'draft' ? { state: 'draft' as const } : this.saved;
      });
    const server: Partial<Server> = {
      labels: () => asked('labels', () => ['ball']),
      query: () => asked('query', () => this.held),
      next: () =>
        asked('next', () => {
          const image = this.cases.shift();
          this.held = image === undefined ? null : queryOf(image);
          return image === undefined ? undefined : sampleOf(image);
        }),
      imageInfo: image => asked(`info of ${image}`, () => sampleOf(image)),
      save: keep('save'),
      saveDraft: keep('draft'),
      draft: image => asked(`open draft of ${image}`, mask),
      label: image => asked(`label of ${image}`, mask),
      prediction: image =>
        asked(`predict ${image}`, () => {
          if (!this.hasModel) {
            throw new Refusal(409, 'no model yet');
          }
          return mask();
        }),
      skip: (image, kind, reason) => asked(`skip ${image} ${kind} ${reason}`, () => undefined),
      active: (image, seconds) => asked(`active ${image} ${seconds}`, () => undefined),
    };
    return server as Server;
  }

  drawing(): FakeDrawing {
    assert.ok(this.session.drawing);
    return this.session.drawing;
  }

  /** What was asked since the last call, without questions that change nothing. */
  told(): string[] {
    const told = this.log.filter(line => !/^(query|labels|info|predict|show)/.test(line));
    this.log.length = 0;
    return told;
  }
}
