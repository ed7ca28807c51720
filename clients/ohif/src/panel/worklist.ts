/** The worklist: the cases with their states. It is fetched when it is opened, and again when cases change meanwhile. */

import { button, make, tell } from './elements.ts';
import type { FoldedPart } from './panel_folded.ts';
import type { Server, Worklist, WorklistCase } from '../server/server.ts';

/** Changes that come within this time are fetched together. */
const TOGETHER_MS = 1500;

/** What is shown of a case. */
export interface Row extends Pick<WorklistCase, 'image' | 'name' | 'state' | 'who'> {
  detail: string;
}

export function rowOf({ image, name, role, state, who, note, drafts_of }: WorklistCase): Row {
  const others = drafts_of.filter(annotator => state !== 'draft' || !who.includes(annotator));
  const parts = [
    who.join(', '),
    role === 'validation' ? 'validation' : '',
    others.length > 0 ? `draft of ${others.join(', ')}` : '',
    note,
  ];
  return { image, name, state, who, detail: parts.filter(part => part !== '').join(' · ') };
}

/** How many cases are in each state that any is in, as one line. */
export function countsOf(counts: Record<string, number>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ');
}

export class WorklistPart implements FoldedPart {
  readonly title = 'Worklist';
  readonly element: HTMLElement;
  private readonly counts = make('p', { class: 'al-quiet' });
  private readonly rows = make('div', { class: 'al-rows', role: 'list' });
  private readonly more: HTMLButtonElement;
  private next: string | null = null;
  /** How often the first cases were asked for. */
  private asked = 0;
  private due: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly server: Pick<Server, 'worklist'>,
    private readonly open: (row: Row) => void,
    private readonly failed: (error: unknown) => void
  ) {
    this.more = button('More', () => { this.load(this.next ?? ''); });
    this.more.hidden = true;
    this.element = make('div', { class: 'al-column' }, this.counts, this.rows, this.more);
  }

  opened(): void {
    this.refresh();
  }

  /** Cases have changed. */
  refresh(): void {
    clearTimeout(this.due);
    if (!this.element.hidden) {
      this.due = setTimeout(() => { this.load(''); }, this.rows.childElementCount === 0 ? 0 : TOGETHER_MS);
    }
  }

  /** An answer is shown unless it comes late: the first cases were asked for again since, or others follow those that are shown. */
  private load(after: string): void {
    const asked = after === '' ? ++this.asked : undefined;
    this.server.worklist(after).then(list => {
      if (asked === undefined ? after === this.next : asked === this.asked) { this.fill(list, asked === undefined); }
    }, this.failed);
  }

  private fill({ cases, next, counts }: Worklist, adds: boolean): void {
    const lines = cases.map(rowOf).map(row => this.line(row));
    if (adds) {
      this.rows.append(...lines);
    } else {
      this.rows.replaceChildren(...lines);
    }
    this.next = next;
    this.more.hidden = next === null;
    tell(this.counts, countsOf(counts));
  }

  private line(row: Row): HTMLElement {
    const title = make('span', { class: 'al-case' }, row.name);
    const state = make('span', { class: `al-state al-${row.state.replace(/\W+/g, '-')}` }, row.state);
    const press = button('', () => { this.open(row); }, { class: 'al-line', role: 'listitem', title: 'Show this case' });
    press.append(title, state, make('span', { class: 'al-quiet' }, row.detail));
    return press;
  }
}
