/** The work of a reader: a case is asked for, opened, drawn, kept as a draft, saved or skipped, and the next one follows. */

import { requireReader } from '../server/absence.ts';
import { Activity } from './activity.ts';
import { Attempts } from './attempts.ts';
import { Ahead, beginning } from './beginning.ts';
import { CaseNames } from './case_names.ts';
import { Drafts } from './drafts.ts';
import type { Drawn } from '../drawing/drawn.ts';
import type { Journal } from './journal.ts';
import type { Marks } from './marks.ts';
import type { Part } from '../drawing/history.ts';
import type { Volume } from '../volumes/nifti.ts';
import { Older } from './older.ts';
import { type OpenCase, Outbox } from './outbox.ts';
import { ELSEWHERE, coveredBy, isStillTheirs, questionOf } from './questions.ts';
import { Rounds } from './rounds.ts';
import { type Query, type Reader, type Sample, type Server, type SkipKind, nameOf } from '../server/server.ts';
import { BEGINNING, type State } from './state.ts';
import type { Opening, Viewer } from '../viewer/viewer.ts';

export class Session<D extends Drawn = Drawn> {
  private now: State = BEGINNING;
  private readonly activity = new Activity();
  private readonly ahead: Ahead;
  /** How often a study was entered or left: what was begun before is given up. */
  private entered = 0;
  private coming: { sample: Sample; open: Opening } | undefined;
  private readonly outbox: Outbox<D>;
  private readonly rounds: Rounds<D>;
  readonly drafts: Drafts<D>;
  readonly older: Older<D>;
  readonly names = new CaseNames();
  readonly tries: Attempts = new Attempts(this);
  /** The case that is drawn on. */
  open: OpenCase<D> | undefined;

  constructor(
    private readonly server: Server,
    private readonly viewer: Viewer<D>,
    private readonly onChange: (state: State) => void,
    private readonly marks: Marks,
    private readonly journal: Journal,
    private readonly clock: () => number = () => performance.now() // milliseconds, whatever becomes of the time of day
  ) {
    this.ahead = new Ahead(server);
    this.outbox = new Outbox(server, () => { this.drafts.changes(); });
    this.drafts = new Drafts<D>(this, this.outbox, marks, clock);
    this.older = new Older<D>(this, journal);
    this.rounds = new Rounds<D>(this, server, this.outbox, this.activity);
  }

  get state(): State {
    return this.now;
  }

  get drawing(): D | undefined {
    return this.open?.drawing;
  }

  set(change: Partial<State>): void {
    this.now = { ...this.now, ...change };
    this.onChange(this.now);
  }

  /** A study is being shown: go on with the case that was asked for, or with the one that the reader holds, if it is this. */
  async enter(): Promise<void> {
    const entered = ++this.entered;
    const givenUp = () => this.entered !== entered;
    await this.tries.attempt(async () => {
      if (this.coming !== undefined) {
        await this.coming.open(this.coming.sample, givenUp);
        return;
      }
      await this.greet();
      await this.knowProject();
      this.set({ phase: 'free', review: null, query: await this.server.query() });
      const shown = await this.viewer.shown(givenUp);
      if (this.now.query?.image === shown && !givenUp()) {
        await this.openQuery(await this.server.imageInfo(shown), givenUp);
      }
    }, givenUp);
  }

  /** The study is being left: what is not saved is kept, as a draft or with the case that was finished. */
  async leave(): Promise<void> {
    this.entered++;
    const { open } = this;
    this.forget(); // before anything is sent: the next case may be opened meanwhile
    if (open?.drawing.changed === true) {
      this.set({ waits: true });
      await this.drafts.keepLeft(open.reader, open);
    }
  }

  /** Ask for the next case, and open it. */
  async next(): Promise<void> {
    this.set({ phase: 'opening', comes: 'case', message: undefined, asks: [] });
    await this.tries.attempt(async () => {
      if (this.now.labels.length === 0) { await this.knowProject(); }
      const sample = await this.server.next();
      if (sample === undefined) {
        await this.putAway();
        this.set({ phase: 'free', query: null, message: { kind: 'good', text: 'No case is left to annotate.' } });
        return;
      }
      this.set({ phase: 'opening', query: this.ahead.begin(await this.server.query()) });
      this.goTo(sample, this.openQuery);
    });
  }

  /** Show a study, and do something then. What is drawn until then is kept with its own case. */
  goTo(sample: Sample, open: Opening): void {
    this.set({ phase: 'opening', comes: 'case', name: this.names.note(sample.id, nameOf(sample)) });
    this.coming = { sample, open };
    this.viewer.show(sample);
  }

  /** The viewer shows a case that is only looked at. */
  arrive(text: string): void {
    this.coming = undefined;
    this.set({ phase: 'free', review: null, message: { kind: 'plain', text } });
  }

  /** Ask what the project is. */
  async knowProject(): Promise<void> {
    const { id, labels } = await this.server.project();
    this.marks.belongTo(id);
    this.set({ project: id, labels });
  }

  /** Ask who the reader is, and show it. */
  async greet(): Promise<Reader> {
    const reader = await this.server.reader();
    this.set({ reader });
    return reader;
  }

  /** Have a reader draw on a series that the viewer shows, over a mask if there is one. Returns false if it was given up. */
  async draw(reader: Reader, image: string, mask: Volume<Uint8Array> | undefined, givenUp: () => boolean): Promise<boolean> {
    const drawing = await this.viewer.open(image, this.now.labels, mask, slices => { this.noteStroke(slices); }, givenUp);
    if (givenUp()) {
      drawing.close();
      return false;
    }
    this.forget();
    this.coming = undefined;
    const strokes = this.journal.begin([this.now.project, reader.name, image], this.now.labels, drawing.opened);
    this.open = { drawing, image, reader, strokes };
    return true;
  }

  /** Keep what is still to be kept of the open case, and take its drawing out of the view. */
  async putAway(): Promise<void> {
    const { open } = this;
    while (open?.drawing.changed === true) {
      await this.outbox.keep(open);
    }
    this.forget();
    open?.drawing.remove();
  }

  /** Save the drawing as finished, and open the next case. Asks first whether an empty drawing is meant. */
  async saveAndNext(): Promise<void> {
    const { open, now } = this;
    const { query } = now;
    if (open === undefined || query === null || now.phase !== 'drawing') {
      return;
    }
    const saved = open.finished !== undefined && !open.drawing.changed;
    const question = saved ? undefined : questionOf(query, open.drawing.empty, now);
    if (question !== undefined) {
      this.set({ asks: [...now.asks, question.asks], message: { kind: 'bad', text: question.text } });
      return;
    }
    this.set({ phase: 'sending', message: undefined });
    await this.tries.attempt(async () => {
      if (!saved) { await this.tellActive(query); }
      if (!now.asks.includes('elsewhere') && !saved && !(await isStillTheirs(this.server, open))) {
        this.set({ phase: 'drawing', asks: [...this.now.asks, 'elsewhere'], message: { kind: 'bad', text: ELSEWHERE } });
        return;
      }
      const confirmed = now.asks.includes('confirm') ? { confirmed: true } : {};
      const how = { finished: true, ...confirmed, ...coveredBy(query, now.done) };
      if (saved || (await this.finish(open, how))) {
        this.marks.keep(query, now.reader?.name, []);
        await this.next();
      }
    });
  }

  /** Skip the case, and open the next one. */
  async skip(kind: SkipKind, reason: string): Promise<void> {
    const { query, phase: before } = this.now;
    if (query === null) { return; }
    this.set({ phase: 'sending', message: undefined });
    await this.tries.attempt(async () => {
      await this.outbox.idle();
      const reader = await requireReader(this.server, this.open?.reader ?? this.now.reader);
      await this.outbox.skip(reader, query.image, this.open, () => this.server.of(reader).skip(query.image, kind, reason));
      if (kind === 'cannot be annotated') {
        this.marks.keep(query, this.now.reader?.name, []);
      }
      this.journal.forget([this.now.project, reader.name, query.image]);
      this.drawing?.remove();
      this.forget();
      await this.next();
    });
    if (this.now.phase === 'sending') { this.set({ phase: before }); }
  }

  /** Undo or redo a stroke. */
  retrace(how: 'undo' | 'redo'): void {
    if (this.now.phase === 'drawing' || this.now.phase === 'reviewing') {
      this.drawing?.[how]();
    }
  }

  /** The reader moved the mouse or pressed a key. */
  noteInput(): void {
    this.activity.note(this.clock());
  }

  /** To be called every few seconds: keeps a draft, tells how long the reader was at work, and looks for a lost server. */
  tick(): Promise<void> {
    return this.rounds.tick();
  }

  /** Save as finished, with what is drawn meanwhile. Returns false if the server takes it for a draft. */
  async finish(open: OpenCase<D>, how: object): Promise<boolean> {
    const saved = await this.outbox.finish(open, how);
    if (saved.state === 'draft') {
      const text = `${saved.message ?? 'kept as a draft'} Press again to confirm it.`;
      this.set({ phase: 'drawing', asks: [...this.now.asks, 'confirm'], message: { kind: 'bad', text } });
    }
    return saved.state === 'finished';
  }

  /** Open the case that the reader holds, with what they have drawn on it. */
  readonly openQuery: Opening = async (sample, givenUp) => {
    this.set({ phase: 'opening', comes: 'case', message: undefined, name: this.names.note(sample.id, nameOf(sample)) });
    await this.outbox.idle(); // what is sent may be the draft of this case
    const reader = await this.greet(); // before the case is asked for, which is this reader's then
    const query = await this.server.query();
    if (query?.image !== sample.id) {
      this.coming = undefined;
      this.set({ phase: 'free', query, message: { kind: 'bad', text: 'The case is no longer yours. Ask for the next one.' } });
      return;
    }
    const [mask, from] = await beginning(this.server.of(reader), this.ahead, query);
    if (givenUp() || !(await this.draw(reader, sample.id, mask, givenUp))) {
      return;
    }
    this.activity.take(); // what is left of the time before does not belong to this case
    const done = this.marks.of(query, this.now.reader?.name);
    const slice = Math.max(0, query.slices.findIndex((_, place) => !done.includes(place)));
    const again = await this.older.look();
    if (givenUp()) {
      return;
    }
    this.set({ phase: 'drawing', query, review: null, from: `${from}${again}`, slice, done });
    if (query.slices.length > 0) {
      this.viewer.jump(query, slice);
    }
  };

  private noteStroke(slices: readonly Part[]): void {
    const { drawing, open } = this;
    if (drawing !== undefined && open !== undefined) {
      if (this.now.review === null) {
        open.strokes.note(slices);
      }
      if (drawing.changed) {
        this.drafts.changes();
      } else {
        this.drafts.forget(); // undone to what is kept already
        open.strokes.forget();
      }
      this.set({ changed: drawing.changed, canUndo: drawing.canUndo, canRedo: drawing.canRedo, asks: [] });
    }
  }

  async tellActive(query: Query): Promise<void> {
    const reader = await requireReader(this.server, this.open?.reader);
    await this.activity.tell(seconds => this.server.of(reader).active(query.image, seconds));
  }

  forget(): void {
    const { open } = this;
    this.open = undefined;
    open?.drawing.close();
    this.drafts.forget();
    const { waits } = this.outbox;
    const nothing = { canUndo: false, canRedo: false, kept: undefined, older: undefined };
    this.set({ changed: false, waits, ...nothing, asks: [], from: '', overlay: 'none' });
  }
}
