/** The work of a reviewer: a finished label is opened, looked at, corrected if need be, and decided about. */

import { requireReader } from '../server/absence.ts';
import type { Drawn } from '../drawing/drawn.ts';
import { readMask } from '../volumes/nifti.ts';
import { differsMost } from './places.ts';
import { shownProgress } from '../server/progress.ts';
import type { OpenCase } from './outbox.ts';
import { type Reader, type Review, type Sample, type Server, type WorklistCase, nameOf } from '../server/server.ts';
import type { Session } from './session.ts';
import type { Viewer } from '../viewer/viewer.ts';

/** States of a case whose label can be reviewed. */
const REVIEWED = new Set(['finished', 'in review', 'approved']);

export class Reviews<D extends Drawn = Drawn> {
  /** The review that has ended because its reviewer saved a correction: that is a version of its own. */
  private ended: Review | undefined;

  constructor(
    private readonly server: Server,
    private readonly session: Session<D>,
    private readonly viewer: Pick<Viewer<D>, 'jump' | 'lookAt'>
  ) {}

  /** Open a label for review: that of an image, or the one that has waited longest. */
  async take(image?: string): Promise<void> {
    const { phase } = this.session.state;
    if (phase === 'opening' || phase === 'sending') {
      return;
    }
    await this.session.tries.attempt(async () => {
      const reader = await this.session.greet();
      const review = await this.server.of(reader).review(image);
      if (review === null) {
        this.session.set({ message: { kind: 'good', text: 'No label waits for your review.' } });
        return;
      }
      if (this.session.state.labels.length === 0) { await this.session.knowProject(); }
      this.session.set({ message: undefined });
      const sample = await this.server.imageInfo(review.image);
      this.session.goTo(sample, (shown, givenUp) => this.open(reader, review, shown, givenUp));
    });
  }

  /** Open a case of the worklist: its label for review, the case that the reader holds, or the image alone. */
  async lookAt({ image, name, state, who }: Pick<WorklistCase, 'image' | 'name' | 'state' | 'who'>): Promise<void> {
    const { phase, reader, query } = this.session.state;
    if (phase === 'opening' || phase === 'sending' || !this.mayDrop()) {
      return;
    }
    this.session.names.note(image, name);
    if (REVIEWED.has(state) && mayReview(reader, state, who)) {
      await this.take(image);
      return;
    }
    await this.session.tries.attempt(async () => {
      const sample = await this.server.imageInfo(image);
      this.session.goTo(sample, async (shown, givenUp) => {
        if (query?.image === image) {
          await this.session.openQuery(shown, givenUp);
        } else {
          this.session.arrive(`You look at ${name}. What is drawn here is not kept.`);
        }
      });
    });
  }

  /** Approve what is shown: the label, one of two readings, or the reviewer's correction, which is saved first. */
  async approve(note: string): Promise<void> {
    const { reading } = this.session.state;
    await this.decide(async (review, open, server) => {
      if (reading !== undefined && !open.drawing.changed) {
        await server.adjudicate(review.image, reading, note);
        return `approved: the ${reading} reading`;
      }
      if (open.drawing.changed) {
        const covered = review.slices === null ? {} : { annotated_slices: review.slices };
        if (!(await this.session.finish(open, { finished: true, confirmed: true, ...covered }))) {
          return undefined;
        }
        this.ended = review;
        this.session.set({ reading: undefined }); // neither is shown any more, also if the approval fails
      }
      if (this.ended !== review) {
        await server.approve(review.image, review.version, note);
        return 'approved';
      }
      const again = (await server.review(review.image)) ?? review;
      this.session.set({ review: again });
      await server.approve(again.image, again.version, note);
      return 'approved';
    });
  }

  /** Return the label to its annotator, who has to be told why. */
  async returnLabel(note: string): Promise<void> {
    if (note === '') {
      this.session.set({ message: { kind: 'bad', text: 'Write in the note what the annotator should correct.' } });
      return;
    }
    if (this.mayDrop()) {
      await this.decide(async (review, _, server) => {
        await server.returnLabel(review.image, review.version, note);
        return 'returned';
      });
    }
  }

  /** Merge two readings that differ into one label. */
  async merge(note: string): Promise<void> {
    if (this.mayDrop()) {
      await this.decide(async (review, _, server) => {
        await server.adjudicate(review.image, 'staple', note);
        return 'approved: both readings, merged';
      });
    }
  }

  /** Let go of the label without a decision. */
  async release(): Promise<void> {
    if (this.mayDrop()) {
      await this.decide(async (_, __, server) => {
        await server.release();
        return 'left undecided';
      });
    }
  }

  /** Whether a correction may be given up: there is none, or the reviewer was asked and has pressed again. */
  private mayDrop(): boolean {
    const { review, asks } = this.session.state;
    if (review === null || this.session.drawing?.changed !== true || asks.includes('drop')) {
      return true;
    }
    this.session.set({ asks: [...asks, 'drop'], message: { kind: 'bad', text: 'Your correction is not kept by this. Press again to give it up.' } });
    return false;
  }

  /** Show one of two readings. What the reviewer has drawn is given up, so they are asked to decide first. */
  async show(reading: 'first' | 'second'): Promise<void> {
    const { review, phase } = this.session.state;
    if (review === null || phase !== 'reviewing' || !this.mayDrop()) {
      return;
    }
    const { open } = this.session;
    const left = () => this.session.open !== open;
    this.session.set({ phase: 'opening', comes: 'reading', message: undefined });
    await this.session.tries.attempt(async () => {
      const mask = await readMask(await this.server.label(review.image, reading === 'first' ? 'final' : 'reading_2'));
      if (left()) {
        return;
      }
      // A stroke that was begun before may have ended meanwhile.
      if (!this.mayDrop()) {
        this.session.set({ phase: 'reviewing' });
        return;
      }
      open?.drawing.remove();
      if (open !== undefined && await this.session.draw(open.reader, review.image, mask, left)) {
        this.session.set({ phase: 'reviewing', reading, message: undefined });
      }
    }, left);
  }

  private async open(reader: Reader, review: Review, sample: Sample, givenUp: () => boolean): Promise<void> {
    const differs = review.readings !== null;
    const [mask, other] = await Promise.all([
      this.server.label(review.image).then(readMask),
      differs ? this.server.label(review.image, 'reading_2').then(readMask) : undefined,
    ]);
    if (givenUp() || !(await this.session.draw(reader, review.image, mask, givenUp))) {
      return;
    }
    const from = differs ? '' : `Version ${review.version}, by ${review.annotator}.`;
    const reading = differs ? 'first' : undefined;
    this.session.set({ phase: 'reviewing', review, reading, name: nameOf(sample), from, slice: 0, done: [] });
    if (review.covered.length > 0) {
      this.viewer.jump({ image: review.image, plane: review.plane, slices: review.covered }, 0);
      return;
    }
    const point = differsMost(mask, other);
    if (point !== undefined) {
      this.viewer.lookAt(review.image, point);
    }
  }

  /** Do something about the label under review, and take it out of the view. */
  private async decide(how: (review: Review, open: OpenCase<D>, server: Server) => Promise<string | undefined>): Promise<void> {
    const { review, phase, name } = this.session.state;
    const { open } = this.session;
    if (review === null || open === undefined || phase !== 'reviewing') {
      return;
    }
    this.session.set({ phase: 'sending', message: undefined });
    await this.session.tries.attempt(async () => {
      await requireReader(this.server, open.reader);
      const outcome = await how(review, open, this.server.of(open.reader));
      if (outcome === undefined) {
        this.session.set({ phase: 'reviewing' });
        return;
      }
      open.drawing.remove();
      this.session.forget();
      const message = { kind: 'good' as const, text: `${name}: ${outcome}.` };
      // The decision is made, whatever becomes of the next question.
      this.session.set({ phase: 'free', review: null, reading: undefined, message });
      this.session.set({ query: await this.server.query() });
      this.session.set({ progress: shownProgress(await this.server.progress()) }); // which counts the labels that wait
    });
  }
}

/**
 * Whether a reader may review a label. Who has no name may have drawn it: a machine's address stands for all its readers.
 * Of a finished label `who` has drawn it; of others they review it, or have decided, and may do so again.
 */
function mayReview(reader: Reader | undefined, state: string, who: readonly string[]): boolean {
  const { reviews, name } = reader ?? { reviews: false, name: '' };
  return reviews && name !== '' && !(state === 'finished' && who.includes(name));
}
