/* What compilers make of ordinary C: recursion, sorting, 64-bit arithmetic, bytes and bits. Prints to the UART. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

static void put(char c)
{
	*(volatile u8 *)0x10000000 = c;
}

static void print(const char *label, u64 value)
{
	while (*label)
		put(*label++);
	put(' ');
	for (int shift = 60; shift >= 0; shift -= 4)
		put("0123456789abcdef"[value >> shift & 15]);
	put('\n');
}

static u64 state = 88172645463325252UL;

static u64 next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static u32 crc32(const u8 *bytes, u64 count)
{
	u32 crc = ~0u;
	while (count--) {
		crc ^= *bytes++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static u64 ackermann(u64 m, u64 n)
{
	return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static void sort(i64 *from, i64 *to)
{
	if (from >= to)
		return;
	i64 pivot = from[(to - from) / 2], *low = from, *high = to;
	while (low <= high) {
		while (*low < pivot)
			low++;
		while (*high > pivot)
			high--;
		if (low <= high) {
			i64 swap = *low;
			*low++ = *high;
			*high-- = swap;
		}
	}
	sort(from, high);
	sort(low, to);
}

static u64 power(u64 base, u64 exponent, u64 modulus)
{
	u64 result = 1;
	for (base %= modulus; exponent; exponent >>= 1) {
		if (exponent & 1)
			result = result * base % modulus;
		base = base * base % modulus;
	}
	return result;
}

static i64 numbers[1000];
static u8 text[4099];
static u64 matrix[3][12][12];

/* sqrt by Newton, divisions of both signs. */
static i64 divide(void)
{
	i64 sum = 0;
	for (int i = 0; i < 500; i++) {
		i64 a = next(), b = (i64)next() >> (next() & 63);
		if (b)
			sum += a / b - a % b + (int)a / ((int)b | 1) + (u32)a % ((u32)b | 1);
	}
	return sum;
}

static void run(void)
{
	for (int i = 0; i < 9; i++)
		text[i] = "123456789"[i];
	print("crc32", crc32(text, 9)); /* the check value of CRC-32: cbf43926 */
	for (u64 i = 0; i < sizeof text; i++)
		text[i] = next();
	print("crc32", crc32(text, sizeof text));
	print("ackermann", ackermann(2, 40)); /* 2 n + 3 */
	for (int i = 0; i < 1000; i++)
		numbers[i] = next();
	sort(numbers, numbers + 999);
	u64 ordered = 1, digest = 0;
	for (int i = 1; i < 1000; i++) {
		ordered &= numbers[i - 1] <= numbers[i];
		digest = digest * 31 + numbers[i];
	}
	print("ordered", ordered);
	print("digest", digest);
	print("power", power(3, 1000000006, 1000000007)); /* Fermat: 1 */
	print("divide", divide());
	for (int i = 0; i < 12; i++)
		for (int j = 0; j < 12; j++)
			for (int k = 0; k < 2; k++)
				matrix[k][i][j] = next() >> 20;
	for (int i = 0; i < 12; i++)
		for (int j = 0; j < 12; j++)
			for (int k = 0; k < 12; k++)
				matrix[2][i][j] += matrix[0][i][k] * matrix[1][k][j];
	print("matrix", crc32((u8 *)matrix[2], sizeof matrix[2]));
	for (int i = 0; i < 200; i++) { /* words at any alignment */
		u64 *word = (u64 *)(text + next() % 4090);
		__atomic_fetch_add((u64 *)((u64)word & ~7), next(), __ATOMIC_SEQ_CST);
		*(volatile u64 *)word ^= next();
	}
	print("unaligned", crc32(text, sizeof text));
	__asm__ volatile("sw %0, 0(%1)" : : "r"(0x5555), "r"(0x100000));
	for (;;)
		;
}

__attribute__((naked, section(".init"))) void _start(void)
{
	__asm__("li sp, 0x80200000\n\tj %0" : : "i"(run));
}
