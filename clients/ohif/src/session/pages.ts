/** The pages of this server that are open in the browser. */

const CHANNEL = 'activelabel';
/** How long they are given to answer: a page that is being drawn in is busy now and then. */
const ANSWER_MS = 500;

export interface Pages {
  /** The name of this page, which no other one has, nor this one once it was loaded anew. */
  readonly own: string;
  /** The names of the others. */
  others(): Promise<Set<string>>;
}

type Said = { asks: string } | { isOpen: string };

export class BrowserPages implements Pages {
  readonly own = [...crypto.getRandomValues(new Uint32Array(4))].map(part => part.toString(36)).join('-');
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
