/** The tool and the brush of a reader, which OHIF forgets when it opens another study. */

import type { Command, CommandsManager } from './ohif.ts';
import { FIRST_RADIUS_MM, FIRST_TOOL } from './toolbar.ts';

/** OHIF's group of tools for the three views. */
const GROUP = 'mpr';
/** Tools that draw: of others, such as the zoom, a case does not open with the last one. */
const DRAWS = /Brush|Eraser|Scissor/;

export class Tools {
  private tool = FIRST_TOOL;
  private radiusMm: unknown = FIRST_RADIUS_MM;

  constructor(private readonly commands: CommandsManager) {}

  /** Note the radius of the brush whenever it is set. */
  follow(): void {
    const shipped = this.commands.getCommand('setBrushSize', 'SEGMENTATION');
    if (shipped !== undefined && shipped.completed !== true) {
      const followed: Command = {
        ...shipped,
        completed: true,
        commandFn: options => {
          this.radiusMm = options.value;
          return shipped.commandFn(options);
        },
      };
      this.commands.registerCommand('SEGMENTATION', 'setBrushSize', followed);
    }
  }

  /** Note the tool that is in use. */
  note(): void {
    const tool = window.cornerstoneTools.ToolGroupManager.getToolGroup(GROUP)?.getActivePrimaryMouseButtonTool();
    if (tool !== undefined && DRAWS.test(tool)) {
      this.tool = tool;
    }
  }

  /** Use the tool and the radius of before. */
  use(): void {
    this.commands.run('setBrushSize', { value: this.radiusMm, toolNames: [] });
    this.commands.run('setToolActiveToolbar', { toolName: this.tool });
  }
}
