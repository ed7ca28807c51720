/** The work of a reader: a case is asked for, opened, drawn, kept as a draft, saved or skipped, and the next one follows. */

import { Activity } from './activity.ts';
import { beginning } from './beginning.ts';
import type { Drawn } from './drawing.ts';
import { Away, type Query, type Sample, type Saved, type Server, type SkipKind } from './server.ts';
import { BEGINNING, type State } from './state.ts';
import type { Viewer } from './viewer.ts';

const DRAFT_AFTER_MS = 30_000;
const HEARTBEAT_SECONDS = 15;

export class Session<D extends Drawn = Drawn> {
  private now: State = BEGINNING;
  private readonly activity = new Activity();
  private changedAt: number | undefined;
  /** What the server is told of the open case, one after the other: a draft never overtakes what finishes the case. */
  private sending: Promise<unknown> = Promise.resolve();
  /** How often a study was entered or left: what was begun before is given up. */
  private entered = 0;
  private coming: Sample | undefined;
  /** Drawings of cases that were left, which the server has not kept yet. */
  private readonly left: { drawing: D; image: string }[] = [];
  private away = false;
  drawing: D | undefined;

  constructor(
    private readonly server: Server,
    private readonly viewer: Viewer<D>,
    private readonly onChange: (state: State) => void,
    private readonly clock: () => number = () => Date.now()
  ) {}

  get state(): State {
    return this.now;
  }

  set(change: Partial<State>): void {
    this.now = { ...this.now, ...change };
    this.onChange(this.now);
  }

  /** A study is being shown: go on with the case that was asked for, or with the one that the reader holds, if it is this. */
  async enter(): Promise<void> {
    const entered = ++this.entered;
    const givenUp = () => this.entered !== entered;
    await this.attempt(async () => {
      if (this.coming !== undefined) {
        await this.open(this.coming, givenUp);
        return;
      }
      this.set({ phase: 'free', labels: await this.server.labels(), query: await this.server.query() });
      const shown = await this.viewer.shown(givenUp);
      if (this.now.query?.image === shown && !givenUp()) {
        await this.open(await this.server.imageInfo(shown), givenUp);
      }
    }, givenUp);
  }

  /** The study is being left: what is not saved is kept as a draft. */
  async leave(): Promise<void> {
    this.entered++;
    const { drawing } = this;
    const image = this.now.query?.image;
    this.forget(); // before anything is sent: the next case may be opened meanwhile
    if (drawing?.changed === true && image !== undefined) {
      this.left.push({ drawing, image });
      this.set({ changed: true });
      await this.keepLeft();
    }
  }

  /** Ask for the next case, and open it. */
  async next(): Promise<void> {
    this.set({ phase: 'opening', message: undefined, asks: undefined });
    await this.attempt(async () => {
      const labels = this.now.labels.length > 0 ? this.now.labels : await this.server.labels();
      const sample = await this.server.next();
      this.forget();
      if (sample === undefined) {
        this.set({ phase: 'free', labels, query: null, message: { kind: 'good', text: 'No case is left to annotate.' } });
        return;
      }
      this.set({ phase: 'opening', labels, query: await this.server.query(), name: nameOf(sample) });
      this.coming = sample;
      this.viewer.show(sample);
    });
  }

  /** Save the drawing as finished, and open the next case. Asks first whether an empty drawing is meant. */
  async saveAndNext(): Promise<void> {
    const { drawing, now } = this;
    const { query } = now;
    if (drawing === undefined || query === null || now.phase !== 'drawing') {
      return;
    }
    if (now.asks !== 'empty' && query.kind === 'volume' && drawing.empty) {
      this.set({
        asks: 'empty',
        message: { kind: 'bad', text: 'Nothing is drawn. Press again if the image holds none of the structures.' },
      });
      return;
    }
    this.set({ phase: 'sending', message: undefined });
    await this.attempt(async () => {
      await this.tellActive(query);
      const how = { finished: true, ...(now.asks === 'confirm' ? { confirmed: true } : {}) };
      const save = () => this.send(drawing, (mask, info) => this.server.save(query.image, mask, { ...info, ...how }));
      let saved = await save();
      while (saved.state === 'finished' && drawing.changed) {
        saved = await save(); // what was drawn meanwhile
      }
      if (saved.state === 'draft') {
        this.set({
          phase: 'drawing',
          asks: 'confirm',
          message: { kind: 'bad', text: `${saved.message ?? 'kept as a draft'} Press again to confirm it.` },
        });
        return;
      }
      await this.next();
    });
  }

  /** Skip the case, and open the next one. */
  async skip(kind: SkipKind, reason: string): Promise<void> {
    const { query, phase: before } = this.now;
    if (query === null) {
      return;
    }
    this.set({ phase: 'sending', message: undefined });
    await this.attempt(async () => {
      await this.sending;
      await this.server.skip(query.image, kind, reason);
      this.forget();
      await this.next();
    });
    if (this.now.phase === 'sending') {
      this.set({ phase: before });
    }
  }

  undo(): void {
    this.drawing?.undo();
  }

  redo(): void {
    this.drawing?.redo();
  }

  /** Show another of the asked slices: the next one for 1, the previous one for -1. */
  step(by: number): void {
    const { query, slice } = this.now;
    const place = slice + by;
    if (query !== null && this.drawing !== undefined && place >= 0 && place < query.slices.length) {
      this.viewer.jump(query, place);
      this.set({ slice: place });
    }
  }

  /** The reader moved the mouse or pressed a key. */
  noteInput(): void {
    this.activity.note(this.clock());
  }

  /** To be called every few seconds: keeps a draft, tells how long the reader was at work, and looks for a lost server. */
  async tick(): Promise<void> {
    if (this.away) {
      await this.attempt(async () => {
        await this.server.query();
        this.away = false;
        this.set({ message: { kind: 'good', text: 'The server answers again. What is drawn here is still there.' } });
        await this.keepLeft();
        if (this.drawing === undefined && this.now.phase !== 'sending') {
          await this.enter();
        }
      });
      return;
    }
    if (this.now.phase !== 'drawing' || this.now.query === null) {
      return;
    }
    if (this.changedAt !== undefined && this.clock() - this.changedAt >= DRAFT_AFTER_MS) {
      await this.keepDraft();
    }
    if (this.activity.seconds >= HEARTBEAT_SECONDS) {
      await this.tellActive(this.now.query);
    }
  }

  private async open(sample: Sample, givenUp: () => boolean): Promise<void> {
    this.set({ phase: 'opening', message: undefined, name: nameOf(sample) });
    await this.sending; // it may be the draft of this case
    const query = await this.server.query();
    if (query?.image !== sample.id) {
      this.coming = undefined;
      this.set({ phase: 'free', query, message: { kind: 'bad', text: 'The case is no longer yours. Ask for the next one.' } });
      return;
    }
    const [mask, from] = await beginning(this.server, query);
    if (givenUp()) {
      return;
    }
    const drawing = await this.viewer.open(sample.id, this.now.labels, mask, () => { this.noteStroke(); }, givenUp);
    if (givenUp()) {
      drawing.close();
      return;
    }
    this.forget();
    this.activity.take(); // what is left of the time before does not belong to this case
    this.coming = undefined;
    this.drawing = drawing;
    this.set({ phase: 'drawing', query, from, slice: 0 });
    if (query.slices.length > 0) {
      this.viewer.jump(query, 0);
    }
  }

  private noteStroke(): void {
    const { drawing } = this;
    if (drawing !== undefined) {
      this.changedAt ??= this.clock();
      this.set({ changed: drawing.changed, canUndo: drawing.canUndo, canRedo: drawing.canRedo, asks: undefined });
    }
  }

  private async keepDraft(): Promise<void> {
    const { drawing } = this;
    const { query } = this.now;
    if (drawing?.changed !== true || query === null) {
      return;
    }
    this.changedAt = undefined;
    await this.attempt(async () => {
      await this.send(drawing, (mask, info) => this.server.saveDraft(query.image, mask, info));
      if (this.drawing === drawing) {
        this.set({ kept: new Date(this.clock()).toLocaleTimeString(), changed: drawing.changed });
      }
    });
  }

  /** Keep drafts of cases that were left. Those that the server does not take are tried again when it answers. */
  private async keepLeft(): Promise<void> {
    const waiting = this.left.splice(0);
    for (const { drawing, image } of waiting) {
      await this.attempt(() => this.send(drawing, (mask, info) => this.server.saveDraft(image, mask, info)));
      if (drawing.changed) {
        this.left.push({ drawing, image });
      }
    }
    this.set({ changed: this.drawing?.changed === true || this.left.length > 0 });
  }

  private async send(drawing: D, how: (mask: Blob, info: object) => Promise<Saved>): Promise<Saved> {
    const sent = this.sending.then(async () => {
      const { mask, label_info } = await drawing.file();
      try {
        return await how(mask, { label_info });
      } catch (error) {
        drawing.notKept();
        this.changedAt = this.clock();
        throw error;
      }
    });
    this.sending = sent.catch(() => undefined);
    return sent;
  }

  private async tellActive(query: Query): Promise<void> {
    await this.attempt(() => this.activity.tell(seconds => this.server.active(query.image, seconds)));
  }

  private forget(): void {
    this.drawing?.close();
    this.drawing = undefined;
    this.changedAt = undefined;
    this.set({ changed: false, canUndo: false, canRedo: false, kept: undefined, asks: undefined, from: '', overlay: 'none' });
  }

  /** Do something with the server; what goes wrong becomes the message. */
  private async attempt(what: () => Promise<unknown>, givenUp = () => false): Promise<void> {
    try {
      await what();
    } catch (error) {
      if (givenUp()) {
        return;
      }
      this.away = error instanceof Away;
      const text = error instanceof Error ? error.message : String(error);
      const phase = this.drawing === undefined ? 'free' : 'drawing';
      this.set({ phase, message: { kind: 'bad', text } });
    }
  }
}

function nameOf(sample: Sample): string {
  return sample.PatientID ?? sample.id;
}
