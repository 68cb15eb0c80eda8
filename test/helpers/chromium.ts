/**
 * Debian's headless Chromium, spoken to over its debugging pipe (file descriptors 3 and 4, JSON messages that end in a
 * zero byte): load a page, click, evaluate, take a picture, and see whether it asked the network for anything.
 */
import {spawn, type ChildProcess} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Readable, Writable} from 'node:stream';

const PROGRAM = '/usr/bin/chromium';

export const hasChromium = existsSync(PROGRAM);
/** What a skipped test says. */
export const CHROMIUM_ABSENT = 'chromium is not installed: apt-get install chromium';

interface Message {
	id?: number;
	method?: string;
	params?: Record<string, unknown>;
	result?: Record<string, unknown>;
	error?: {message: string};
	sessionId?: string;
}

export interface PageOptions {
	readonly width: number;
	readonly height: number;
	readonly dark?: boolean;
}

export class Browser {
	readonly #process: ChildProcess;
	readonly #profile: string;
	readonly #waiting = new Map<number, (message: Message) => void>();
	readonly #listeners: ((message: Message) => void)[] = [];
	#lastId = 0;
	#received = '';

	constructor() {
		this.#profile = mkdtempSync(join(tmpdir(), 'vmsim-chromium-'));
		this.#process = spawn(
			PROGRAM,
			[
				'--headless',
				'--no-sandbox',
				'--disable-gpu',
				'--disable-dev-shm-usage',
				'--remote-debugging-pipe',
				`--user-data-dir=${this.#profile}`,
				'about:blank',
			],
			{stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']},
		);
		const output = this.#process.stdio[4] as Readable;
		output.setEncoding('utf8');
		output.on('data', (text: string) => this.#receive(text));
	}

	/** Opens a page and waits until its script says that it is ready. */
	async open(url: string, options: PageOptions): Promise<Page> {
		const {targetId} = await this.send('Target.createTarget', {url: 'about:blank'});
		const {sessionId} = await this.send('Target.attachToTarget', {targetId, flatten: true});
		const page = new Page(this, String(sessionId));
		await page.start(url, options);
		return page;
	}

	async send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
		const id = ++this.#lastId;
		const answer = new Promise<Message>((resolve) => this.#waiting.set(id, resolve));
		const message = JSON.stringify({id, method, params, ...(sessionId !== undefined && {sessionId})});
		(this.#process.stdio[3] as Writable).write(`${message}\0`);
		const {result, error} = await answer;
		if (error) {
			throw new Error(`${method}: ${error.message}`);
		}
		return result ?? {};
	}

	listen(listener: (message: Message) => void): void {
		this.#listeners.push(listener);
	}

	async close(): Promise<void> {
		const gone = new Promise((resolve) => this.#process.once('exit', resolve));
		await this.send('Browser.close');
		await gone;
		rmSync(this.#profile, {recursive: true, force: true, maxRetries: 5, retryDelay: 100});
	}

	#receive(text: string): void {
		this.#received += text;
		const messages = this.#received.split('\0');
		this.#received = messages.pop()!;
		for (const message of messages.map((json) => JSON.parse(json) as Message)) {
			if (message.id === undefined) {
				this.#listeners.forEach((listener) => listener(message));
			} else {
				this.#waiting.get(message.id)?.(message);
				this.#waiting.delete(message.id);
			}
		}
	}
}

export class Page {
	/** Addresses that the page asked for, its own first. */
	readonly requests: string[] = [];
	/** Errors of its script, and what it wrote to the console. */
	readonly complaints: string[] = [];
	readonly #browser: Browser;
	readonly #session: string;

	constructor(browser: Browser, session: string) {
		this.#browser = browser;
		this.#session = session;
		browser.listen(({method, params, sessionId}) => {
			if (sessionId !== session) {
				return;
			}
			if (method === 'Network.requestWillBeSent') {
				this.requests.push((params as {request: {url: string}}).request.url);
			} else if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded') {
				this.complaints.push(JSON.stringify(params));
			}
		});
	}

	async start(url: string, {width, height, dark = false}: PageOptions): Promise<void> {
		for (const domain of ['Page', 'Runtime', 'Network', 'Log']) {
			await this.#send(`${domain}.enable`);
		}
		await this.#send('Emulation.setDeviceMetricsOverride', {
			width,
			height,
			deviceScaleFactor: 1,
			mobile: false,
		});
		await this.#send('Emulation.setEmulatedMedia', {
			features: [{name: 'prefers-color-scheme', value: dark ? 'dark' : 'light'}],
		});
		await this.#send('Page.navigate', {url});
		for (let left = 200; left > 0; left--) {
			if ((await this.evaluate('document.documentElement?.dataset.ready')) === 'true') {
				return;
			}
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
		throw new Error(`the page did not get ready: ${this.complaints.join('\n')}`);
	}

	/** The value of an expression in the page. */
	async evaluate<T>(expression: string): Promise<T> {
		const {result, exceptionDetails} = (await this.#send('Runtime.evaluate', {
			expression,
			returnByValue: true,
			awaitPromise: true,
		})) as {result: {value: T}; exceptionDetails?: {text: string; exception?: {description: string}}};
		if (exceptionDetails) {
			throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
		}
		return result.value;
	}

	/** A real click of the mouse in the middle of the first element that matches, after it was drawn. */
	async click(selector: string): Promise<void> {
		const {x, y} = await this.evaluate<{x: number; y: number}>(`(() => {
			const element = document.querySelector(${JSON.stringify(selector)});
			element.scrollIntoView({block: 'center'});
			const {left, top, width, height} = element.getBoundingClientRect();
			return {x: left + width / 2, y: top + height / 2};
		})()`);
		for (const type of ['mousePressed', 'mouseReleased']) {
			await this.#send('Input.dispatchMouseEvent', {type, x, y, button: 'left', clickCount: 1});
		}
		await this.drawn();
	}

	/** Waits until the page has drawn what it was asked to. */
	async drawn(): Promise<void> {
		await this.evaluate(
			'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))',
		);
	}

	/** A PNG of the whole page, or of the window. */
	async screenshot(whole = true): Promise<Buffer> {
		const {data} = await this.#send('Page.captureScreenshot', {format: 'png', captureBeyondViewport: whole});
		return Buffer.from(String(data), 'base64');
	}

	async #send(method: string, params: object = {}): Promise<Record<string, unknown>> {
		return this.#browser.send(method, params, this.#session);
	}
}
