import type { Contract } from '../../contracts/types.js';
import { declarerOf, type Restored } from '../../declarations/declarer.js';
import type { Channel, Link } from '../../transport/port.js';
import type { PendingSend } from './pending-send.js';

/** How often in a row the channel may be closed because the exchange is missing, before the exchange counts as missing. */
const MAX_MISSING = 2;

/**
 * The contract had disappeared and exists again, so what belongs to it may have to be restored.
 *
 * @param found - what was missing and was declared here: the contract, unless another part of the broker was faster, and what it needs
 */
export type OnRestored = (contract: Contract, found: readonly Restored[]) => Promise<void>;

export interface DeclareOnDemandSettings {
  /** The contract to declare before the first publish; undefined: none. */
  readonly contract: Contract | undefined;
  /** See {@link OnRestored}. Nothing is published before. */
  readonly onRestored?: OnRestored | undefined;
}

/**
 * Declares the contract of a publisher before it publishes, and again when it turns out to be missing.
 *
 * | state   | declare                                             | invalidate |
 * |---------|-----------------------------------------------------|------------|
 * | current | declares what this link does not know yet           | stale      |
 * | stale   | declares everything again, restores it, then current |            |
 */
export class DeclareOnDemand {
  readonly #settings: DeclareOnDemandSettings;
  #state: 'current' | 'stale' = 'current';
  /** The contract itself was found to be missing. */
  #isMissing = false;
  /** How often in a row the channel was closed because the exchange is missing. */
  #missing = 0;

  constructor(settings: DeclareOnDemandSettings) {
    this.#settings = settings;
  }

  get contract(): Contract | undefined {
    return this.#settings.contract;
  }

  /** True when everything has to be declared again before the next publish. */
  get isStale(): boolean {
    return this.#state === 'stale';
  }

  /**
   * Invalidates everything that was declared.
   *
   * @param what - `isMissing`: the contract itself is known to be missing
   */
  invalidate({ isMissing }: { readonly isMissing: boolean }): void {
    this.#state = 'stale';
    this.#isMissing ||= isMissing;
  }

  /** The server has confirmed a message: the target exists. */
  recordConfirm(): void {
    this.#missing = 0;
  }

  /** The exchange is missing. Returns true if declaring it again may help, and false if that was tried already. */
  shouldRedeclare({ message }: Error): boolean {
    const { contract } = this.#settings;
    // The missing exchange may also be one of the delays.
    this.invalidate({ isMissing: contract?.kind === 'exchange' && message.includes(`'${contract.name}'`) });
    if (++this.#missing < MAX_MISSING) return true;
    this.#missing = 0;
    return false;
  }

  /** Returns true, once per message, if an unroutable message may become routable after everything is declared again. */
  mayBecomeRoutable(pending: PendingSend): boolean {
    const { contract } = this.#settings;
    const isOwn = contract?.kind === 'queue' && contract.declare === true;
    if (pending.redeclared || !(isOwn || pending.dueAt !== undefined)) return false;
    pending.redeclared = true;
    return true;
  }

  /**
   * Declares the contract. Rejects with a `TopologyError` when that is refused, and with a `TransportError` when it may work
   * later.
   *
   * @param openChannel - opens the caller's own channel for it; absent: on one of the declarer's
   */
  async declare(link: Link, openChannel?: () => Promise<Channel>): Promise<void> {
    const { contract, onRestored } = this.#settings;
    const again = this.isStale;
    if (again) declarerOf(link).forget();
    const found: Restored[] = [];
    const look = again ? (restored: Restored) => void found.push(restored) : undefined;
    if (contract) await declarerOf(link).declare(contract, { again, openChannel, onRestored: look });
    const isRestored = this.#isMissing && contract?.declare === true;
    this.#state = 'current';
    this.#isMissing = false;
    if (contract && (isRestored || found.length > 0)) await onRestored?.(contract, found);
  }
}
