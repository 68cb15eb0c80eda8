# The frame of a random program (random-program.ts): trap handler, page tables, entering and leaving a chunk, sending what
# was logged. The generator prepends the addresses and appends the chunks, from begin_0 to a jump to `finish`.

	# What implementations may differ in is left out: only MIE, MPIE, MPP, SIE, SPIE, SPP.
	.equ MSTATUS_LOGGED, 0x19aa
	.equ MSTATUS_MPRV, 1 << 17
	.equ C_RET, 0x8082
	.equ PTE_LEAF, 0xcf           # D A X W R V
	.equ PTE_U, 0x10

	.macro all_registers operation, base
	.irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 28, 29, 30, 31
	\operation x\n, 8 * (\n - 1)(\base)
	.endr
	.endm

	# Begins a chunk with an mstatus and a satp. Its code and its data are at so many bytes from where they lie in RAM.
	# s9 says that it ends, s11 is the middle of its data, s10 is out of its handler's reach; all others are random.
	.macro begin chunk, status, satp, code_offset, data_offset
	li t0, \satp
	csrw satp, t0
	sfence.vma
	la t0, body_\chunk
	li t1, \code_offset
	add t0, t0, t1
	csrw mepc, t0
	la t0, end_\chunk
	la t1, continue_at
	sd t0, 0(t1)
	li s9, 0
	li s11, DATA + 2048 + \data_offset
	la s10, values_\chunk
	all_registers ld, s10
	# From here on loads would obey MPRV.
	li s10, \status
	csrw mstatus, s10
	li s10, 0x5a5a
	mret
	.endm

start:
	la t0, handler
	csrw mtvec, t0
	li t0, -1
	csrw pmpaddr0, t0
	li t0, 0x1f
	csrw pmpcfg0, t0
	li t0, LOG
	csrw mscratch, t0
	# A page of returns.
	li t0, RETURNS
	li t1, RETURNS + 4096
	li t2, C_RET
1:	sh t2, 0(t0)
	addi t0, t0, 2
	bltu t0, t1, 1b
	j begin_0

	.align 2
handler:
	csrrw s10, mscratch, s10
	sd t0, 32(s10)
	sd t1, 40(s10)
	sd t2, 48(s10)
	csrr t0, mepc
	sd t0, 8(s10)
	csrr t0, mstatus
	li t1, MSTATUS_LOGGED
	and t0, t0, t1
	sd t0, 24(s10)
	# A fetch that failed goes on at its return address.
	mv t2, ra
	csrr t0, mcause
	addi t1, t0, -1
	beqz t1, trap_log
	addi t1, t0, -12
	beqz t1, trap_log
	# The first half of the instruction, with the rights of the mode that it was executed in.
	csrr t0, mepc
	li t1, MSTATUS_MPRV
	csrrs t1, mstatus, t1
	lhu t2, 0(t0)
	csrw mstatus, t1
	# Of a faulting atomic QEMU 7.2 says that its load faulted (4, 5, 13), the manual wants a store fault (6, 7, 15).
	andi t1, t2, 0x7f
	addi t1, t1, -0x2f
	csrr t0, mcause
	bnez t1, 1f
	ori t0, t0, 2
1:	csrw mcause, t0
	# Behind the instruction.
	andi t1, t2, 3
	addi t1, t1, -3
	csrr t2, mepc
	addi t2, t2, 2
	bnez t1, trap_log
	addi t2, t2, 2
# t0: the cause, t2: where to go on.
trap_log:
	csrr t0, mcause
	sd t0, 0(s10)
	# A breakpoint may give its address in mtval, or 0.
	addi t1, t0, -3
	csrr t0, mtval
	bnez t1, 1f
	li t0, 0
1:	csrw mtval, t0
	sd t0, 16(s10)
	csrw mepc, t2
	ld t0, 32(s10)
	ld t1, 40(s10)
	ld t2, 48(s10)
	addi s10, s10, 32
	bnez s9, leave
	csrrw s10, mscratch, s10
	mret
leave:
	all_registers sd, s10
	csrr t0, mscratch
	sd t0, 8 * 25(s10)
	sd zero, 8 * 24(s10)
	sd zero, 8 * 26(s10)
	addi s10, s10, SAVED_REGISTERS * 8
	# What the accesses made of the page table: bits A and D.
	li t0, PAGE_TABLE
	li t1, PAGE_TABLE + 8 * PAGE_SLOTS
1:	ld t2, 0(t0)
	sd t2, 0(s10)
	addi t0, t0, 8
	addi s10, s10, 8
	bltu t0, t1, 1b
	csrw mscratch, s10
	csrw mstatus, zero
	la t0, continue_at
	ld t0, 0(t0)
	jr t0

finish:
	li a0, LOG
	csrr a1, mscratch
	jal send
	li a0, DATA
	li a1, DATA + DATA_SIZE
	jal send
	li t0, FINISHER
	li t1, 0x5555
	sw t1, 0(t0)
	j .
# a0: first byte, a1: behind the last.
send:
	li t0, UART
1:	lbu t1, 5(t0)
	andi t1, t1, 0x20
	beqz t1, 1b
	lbu t1, 0(a0)
	sb t1, 0(t0)
	addi a0, a0, 1
	bltu a0, a1, 1b
	ret

	.align 3
continue_at:
	.dword 0

# Sv39: 0x40000000 pages and superpages with random rights, 0x80000000 RAM for S, 0xc0000000 RAM for U.
	.align 12
page_table_root:
	.dword 0, (page_table_middle >> 12 << 10) | 1
	.dword (RAM >> 12 << 10) | PTE_LEAF, (RAM >> 12 << 10) | PTE_LEAF | PTE_U
	.zero 4096 - 32
# Pages; DATA as a superpage, for U to read; a superpage that is not aligned.
page_table_middle:
	.dword (PAGE_TABLE >> 12 << 10) | 1
	.dword (DATA >> 12 << 10) | 0x53
	.dword (DATA >> 12 << 10) | 0x4cf
	.zero 4096 - 24
