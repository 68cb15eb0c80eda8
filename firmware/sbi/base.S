# BASE: who the firmware is and what it can (SBI 2.0, chapter 4).

sbi_base:
	beqz a6, base_spec_version
	addi a6, a6, -1
	beqz a6, base_impl_id
	addi a6, a6, -1
	beqz a6, base_impl_version
	addi a6, a6, -1
	beqz a6, base_probe_extension
	addi a6, a6, -1
	beqz a6, base_mvendorid
	addi a6, a6, -1
	beqz a6, base_marchid
	addi a6, a6, -1
	beqz a6, base_mimpid
	j sbi_not_supported

base_spec_version:
	li a1, SBI_SPEC_VERSION
	j base_done
base_impl_id:
	li a1, SBI_IMPL_ID
	j base_done
base_impl_version:
	li a1, SBI_IMPL_VERSION
	j base_done
base_probe_extension:
	mv t0, a0
	mv t6, ra
	jal find_extension
	mv ra, t6
	snez a1, t1
	j base_done
base_mvendorid:
	csrr a1, mvendorid
	j base_done
base_marchid:
	csrr a1, marchid
	j base_done
base_mimpid:
	csrr a1, mimpid
base_done:
	li a0, SBI_SUCCESS
	ret
