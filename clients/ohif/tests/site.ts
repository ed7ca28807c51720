/** Stand-ins for a server with cases and for a viewer, which note what is asked of them. */

import assert from 'node:assert/strict';

import { digestOf } from '../src/drawing/digest.ts';
import type { Drawn, DrawnFile } from '../src/drawing/drawn.ts';
import { History, type Part } from '../src/drawing/history.ts';
import { type CasePlace, type Ground, Journal, type Kept, type Place, type Shelf } from '../src/session/journal.ts';
import { Marks } from '../src/session/marks.ts';
import { type Volume, writeMask } from '../src/volumes/nifti.ts';
import { Away, type Query, type Reader, Refusal, type Review, type Sample, type Saved, type Server } from '../src/server/server.ts';
import { Session } from '../src/session/session.ts';
import { Slices } from '../src/session/slices.ts';
import type { State } from '../src/session/state.ts';
import { RESTS } from './resting.ts';
import type { Viewer } from '../src/viewer/viewer.ts';

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
  private readonly history: History;
  private kept: number | undefined;
  readonly opened: string;
  closed = false;
  removed = false;
  /** Of one voxel. */
  constructor(readonly onStroke: (slices: readonly Part[]) => void, value = 0) {
    this.history = new History(Uint8Array.of(value));
    this.kept = this.history.position;
    this.opened = digestOf(this.history.values);
  }
  get changed(): boolean {
    return this.history.position !== this.kept;
  }
  get empty(): boolean {
    return this.history.values[0] === 0;
  }
  get canUndo(): boolean {
    return this.history.canUndo;
  }
  get canRedo(): boolean {
    return this.history.canRedo;
  }
  draw(): void {
    this.history.record([{ start: 0, values: [(this.value() ?? 0) + 1] }]);
    this.tell();
  }
  undo(): void {
    this.history.undo();
    this.tell();
  }
  redo(): void {
    this.history.redo();
    this.tell();
  }
  restore(slices: readonly Part[]): boolean {
    const changes = this.history.record(slices);
    this.tell();
    return changes;
  }
  value(): number | undefined {
    return this.history.values[0];
  }
  private tell(): void {
    this.onStroke([{ start: 0, values: this.history.values }]);
  }
  file(): Promise<DrawnFile> {
    this.kept = this.history.position;
    return Promise.resolve({ mask: new Blob(['mask']), label_info: [{ name: 'ball', idx: 1 }], digest: digestOf(this.history.values) });
  }
  notKept(): void {
    this.kept = undefined;
  }
  close(): void {
    this.closed = true;
  }
  remove(): void {
    this.removed = true;
  }
}

/** What the browser keeps. */
export class FakeShelf implements Shelf {
  readonly kept = new Map<string, Kept>();
  private now = 0;
  put(place: Place, ground: Ground, slices: readonly Part[]): Promise<void> {
    const key = JSON.stringify(place);
    const before = this.kept.get(key)?.slices.filter(({ start }) => slices.every(slice => slice.start !== start)) ?? [];
    this.kept.set(key, { place, ...ground, at: ++this.now, slices: [...before, ...slices] });
    return Promise.resolve();
  }
  of(place: CasePlace): Promise<Kept[]> {
    const all = [...this.kept.values()].filter(one => place.every((part, index) => part === one.place[index]));
    return Promise.resolve(all.sort((one, other) => one.at - other.at));
  }
  decline(place: Place, project: string): Promise<void> {
    const key = JSON.stringify(place);
    const one = this.kept.get(key);
    if (one !== undefined) { this.kept.set(key, { ...one, declined: [...one.declined ?? [], project] }); }
    return Promise.resolve();
  }
  remove(place: readonly (string | number)[]): Promise<void> {
    const isIn = (one: Kept): boolean => place.every((part, index) => part === one.place[index]);
    [...this.kept].filter(([, one]) => isIn(one)).forEach(([key]) => this.kept.delete(key));
    return Promise.resolve();
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
  reader: Reader = { byLogin: false, name: 'rev', reviews: true };
  /** The label that waits for review. */
  toReview: Review | null = null;
  progress = RESTS;
  saved: Saved = { state: 'finished' };
  refusal: string | undefined;
  /** Whose work the page says that it sends. */
  stated: string | undefined;
  /** Who has drawn the label of every case. */
  labelledBy: string | undefined;
  /** Whether a label whose answer was lost is there when a draft of the same drawing comes. */
  hadCome = false;
  /** What a gateway before the server fails at. */
  failing: string | undefined;
  /** What happens while a label is being saved. */
  onSave: (() => void) | undefined;
  /** What happens when the panel is shown anew. */
  onChange: ((state: State) => void) | undefined;
  /** What happens while the server chooses the next case. */
  onNext: (() => void) | undefined;
  shownSeries = 'a';
  /** The place of the asked slice that the viewer shows. */
  shownPlace: number | undefined = 0;
  masks: (Volume<Uint8Array> | undefined)[] = [];
  now = 0;
  /** The names of the structures. */
  labels = ['ball'];
  /** Which project is served. */
  project = 'p1';
  /** The value of the mask that a case opens with. */
  content = 1;
  /** The pages that are open in the browser, and how many have been so far. */
  readonly openPages = new Set<string>();
  private pages = 0;
  shelf: Shelf & Pick<FakeShelf, 'kept'> = new FakeShelf();
  readonly marks: Marks;
  session: Session<FakeDrawing>;
  readonly viewer: Viewer<FakeDrawing>;
  readonly slices: Slices<FakeDrawing>;
  readonly server: Server;

  constructor() {
    this.server = this.makeServer();
    this.viewer = {
      shown: () => Promise.resolve(this.shownSeries),
      show: ({ SeriesInstanceUID }) => {
        this.shownSeries = SeriesInstanceUID;
        this.log.push(`show ${SeriesInstanceUID}`);
      },
      open: (_series, _labels, mask, onStroke) => {
        this.masks.push(mask);
        return Promise.resolve(new FakeDrawing(onStroke, mask?.values[0]));
      },
      shownPlace: () => this.shownPlace,
      jump: (walk, place) => this.log.push(`jump to ${walk.slices[place]?.ohif_number ?? 0}`),
      lookAt: (series, point) => this.log.push(`look at ${series} ${point.join(' ')}`),
    };
    const kept = new Map<string, string>();
    this.marks = new Marks({ getItem: key => kept.get(key) ?? null, setItem: (key, value) => { kept.set(key, value); } });
    this.session = this.newSession();
    this.slices = new Slices(this.session, this.viewer);
  }

  /** What a page that is loaded anew begins with. */
  newSession(): Session<FakeDrawing> {
    const journal = this.newJournal();
    return new Session(this.server, this.viewer, state => { this.onChange?.(state); }, this.marks, journal, () => this.now);
  }

  newJournal(onTrouble = (text: string): void => { throw new Error(text); }, longestMs?: number): Journal {
    const pages = { own: `page ${++this.pages}`, others: () => Promise.resolve(this.openPages) };
    return new Journal(this.shelf, pages, onTrouble, longestMs);
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

  private makeServer(): Server {
    const asked = <T>(what: string, answer: () => T | Promise<T>): Promise<T> => {
      this.log.push(what);
      if (this.loginEnded) {
        return Promise.reject(new Refusal(401, 'the login has ended'));
      }
      if (this.failing !== undefined && what.startsWith(this.failing)) {
        return Promise.reject(new Refusal(502, 'a gateway has failed'));
      }
      return this.away ? Promise.reject(new Away()) : Promise.resolve().then(answer);
    };
    const mask = async (): Promise<ArrayBuffer> => {
      const grid = { shape: [1, 1, 1] as [number, number, number], affine: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]] as [number[], number[], number[]] };
      return (await writeMask({ grid, values: Uint8Array.of(this.content) })).arrayBuffer();
    };
    const keep = (what: string) => (image: string, _mask: Blob, params: object) =>
      asked(`${what} ${image} ${JSON.stringify(params)}`, () => {
        if (this.refusal !== undefined) {
          throw new Refusal(422, this.refusal);
        }
        if (what === 'save') {
          this.onSave?.();
        }
        const isDraft = what === 'draft' && !(this.hadCome && JSON.stringify(params).includes('unanswered'));
        return isDraft ? { state: 'draft' as const } : this.saved;
      });
    const server: Partial<Server> = {
      of: worker => {
        this.stated = worker?.name;
        return server as Server;
      },
      labelledBy: image => asked(`info of the label of ${image}`, () => this.labelledBy),
      reader: () => asked('reader', () => this.reader),
      project: () => asked('project', () => ({ id: this.project, labels: this.labels })),
      query: () => asked('query', () => this.held),
      progress: () => asked('progress', () => this.progress),
      next: () =>
        asked('next', () => {
          this.onNext?.();
          this.onNext = undefined;
          const image = this.cases.shift();
          this.held = image === undefined ? null : queryOf(image);
          return image === undefined ? undefined : sampleOf(image);
        }),
      imageInfo: image => asked(`info of ${image}`, () => sampleOf(image)),
      save: keep('save'),
      saveDraft: keep('draft'),
      draft: image => asked(`open draft of ${image}`, mask),
      label: (image, tag) => asked(`label of ${image} ${tag ?? 'final'}`, mask),
      review: image => asked(`review ${image ?? 'the next'}`, () => this.toReview),
      approve: (image, version, note) => asked(`approve ${image} ${version} ${note}`, () => undefined),
      returnLabel: (image, version, note) => asked(`return ${image} ${version} ${note}`, () => undefined),
      adjudicate: (image, take, note) => asked(`adjudicate ${image} ${take} ${note}`, () => undefined),
      release: () => asked('release', () => undefined),
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

  /** When everything that was begun has ended. */
  settled(): Promise<void> {
    return new Promise(resolve => setTimeout(resolve));
  }

  drawing(): FakeDrawing {
    assert.ok(this.session.drawing);
    return this.session.drawing;
  }

  /** What was asked since the last call, without questions that change nothing. */
  told(): string[] {
    const told = this.log.filter(line => !/^(query|progress|project|info|predict|show|reader|readings)/.test(line));
    this.log.length = 0;
    return told;
  }
}
