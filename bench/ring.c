/*
 * The device side of a split virtqueue (VIRTIO 1.4 2.7) with the checks of src/virtio/chain.ts, over flat memory: the
 * peer of bench/ring.ts. Prints seconds per pass over a full ring, one line per chain length given.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
struct desc { uint64_t addr; uint32_t len; uint16_t flags, next; };
struct avail { uint16_t flags, idx, ring[]; };
struct used_elem { uint32_t id, len; };
struct used { uint16_t flags, idx; struct used_elem ring[]; };

struct chain { uint32_t count, readable; uint64_t readable_bytes, writable_bytes; uint64_t *addr; uint32_t *len; };

/* RAM stands at BASE in the guest's eyes; its bytes are at `ram`. */
static const uint64_t BASE = 0x80000000u, SIZE = 64u << 20;
static volatile uint64_t sink;

static int walk(const struct desc *table, uint32_t size, uint32_t head, struct chain *c)
{
	uint32_t index = head, steps = 0;
	c->count = c->readable = 0;
	c->readable_bytes = c->writable_bytes = 0;
	for (;;) {
		if (index >= size || ++steps > size)
			return -1;
		struct desc d = table[index];
		if (d.flags & INDIRECT)
			return -1; /* not offered here; neither does the peer's ring hold any */
		if (c->count == size || d.len == 0)
			return -1;
		if (d.flags & WRITE) {
			c->writable_bytes += d.len;
		} else if (c->readable == c->count) {
			c->readable++;
			c->readable_bytes += d.len;
		} else {
			return -1;
		}
		if (d.addr < BASE || d.addr + d.len > BASE + SIZE)
			return -1;
		c->addr[c->count] = d.addr;
		c->len[c->count++] = d.len;
		if (!(d.flags & NEXT))
			return c->readable_bytes + c->writable_bytes > (1ull << 32) ? -1 : 0;
		index = d.next;
	}
}

static __attribute__((noinline)) uint64_t handle(const struct chain *c)
{
	return c->count;
}

int main(int argc, char **argv)
{
	const uint32_t size = (uint32_t)atoi(argv[1]);
	const uint32_t passes = (uint32_t)atoi(argv[2]);
	for (int arg = 3; arg < argc; arg++) {
		const uint32_t chain_length = (uint32_t)atoi(argv[arg]), chains = size / chain_length;
		struct desc *table = calloc(size, sizeof *table);
		volatile struct avail *avail = calloc(1, 6 + 2 * size);
		volatile struct used *used = calloc(1, 6 + 8 * size);
		uint8_t *in_flight = calloc(1, size);
		struct chain c = {.addr = calloc(size, 8), .len = calloc(size, 4)};
		for (uint32_t i = 0; i < size; i++)
			table[i] = (struct desc){BASE + 4096ull * i, 4096, WRITE | ((i + 1) % chain_length ? NEXT : 0),
						 (uint16_t)(i + 1)};
		for (uint32_t slot = 0; slot < size; slot++)
			avail->ring[slot] = (uint16_t)((slot % chains) * chain_length);
		uint16_t last = 0, used_idx = 0;
		uint64_t sum = 0;
		double best = 1e9;
		for (int repeat = 0; repeat < 300; repeat++) {
			struct timespec from, to;
			clock_gettime(CLOCK_MONOTONIC, &from);
			for (uint32_t pass = 0; pass < passes; pass++) {
				avail->idx = (uint16_t)(last + chains);
				uint16_t waiting = (uint16_t)(avail->idx - last);
				if (waiting > size)
					return 1;
				for (; waiting > 0; waiting--) {
					uint16_t head = avail->ring[last & (size - 1)];
					if (head >= size || in_flight[head] || walk(table, size, head, &c))
						return 1;
					in_flight[head] = 1;
					last++;
					sum += handle(&c);
					in_flight[head] = 0;
					used->ring[used_idx & (size - 1)].id = head;
					used->ring[used_idx & (size - 1)].len = 0;
					used->idx = ++used_idx;
				}
			}
			clock_gettime(CLOCK_MONOTONIC, &to);
			double took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
			if (took < best)
				best = took;
		}
		sink = sum;
		printf("%u %.9f\n", chain_length, best / passes);
	}
	return 0;
}
