/** The pages of this server that are open in the browser. */

const CHANNEL = 'activelabel';
const LOCK = 'activelabel page ';
/** How long pages are given to answer where there are no locks: a page that is being drawn in is busy now and then. */
const ANSWER_MS = 5000;

export interface Pages {
  /** The name of this page, which no other one has, nor this one once it was loaded anew. */
  readonly own: string;
  /** The names of the others. */
  others(): Promise<Set<string>>;
}

type Said = { asks: string } | { isOpen: string };

/** The pages as the browser knows them best: it has locks only if the page came over TLS, or from this machine. */
export function openPages(): Pages {
  const { locks } = navigator as Partial<Navigator>;
  return locks === undefined ? new HeardPages() : new LockedPages(locks);
}

/** Each page holds a lock of its name, which the browser releases when the page is gone, however busy the page is. */
export class LockedPages implements Pages {
  readonly own = newName();
  private readonly held: Promise<void>;

  constructor(private readonly locks: Pick<LockManager, 'request' | 'query'>) {
    this.held = new Promise((resolve, reject) => {
      locks.request(LOCK + this.own, () => {
        resolve();
        return new Promise<never>(() => undefined); // as long as the page is there
      }).catch(reject);
    });
    this.held.catch(() => undefined); // `others` says so
  }

  async others(): Promise<Set<string>> {
    await this.held;
    const { held = [] } = await this.locks.query();
    const pages = held.flatMap(({ name }) => name?.startsWith(LOCK) === true ? [name.slice(LOCK.length)] : []);
    return new Set(pages.filter(name => name !== this.own));
  }
}

/** Each page answers when another one asks. */
class HeardPages implements Pages {
  readonly own = newName();
  private readonly channel = new BroadcastChannel(CHANNEL);

  constructor() {
    this.channel.addEventListener('message', ({ data }: MessageEvent<Said>) => {
      if ('asks' in data) {
        this.say({ isOpen: this.own });
      }
    });
  }

  async others(): Promise<Set<string>> {
    const found = new Set<string>();
    const hear = ({ data }: MessageEvent<Said>): void => {
      if ('isOpen' in data) {
        found.add(data.isOpen);
      }
    };
    this.channel.addEventListener('message', hear);
    this.say({ asks: this.own });
    await new Promise(resolve => setTimeout(resolve, ANSWER_MS));
    this.channel.removeEventListener('message', hear);
    return found;
  }

  private say(what: Said): void {
    this.channel.postMessage(what);
  }
}

function newName(): string {
  return [...crypto.getRandomValues(new Uint32Array(4))].map(part => part.toString(36)).join('-');
}
