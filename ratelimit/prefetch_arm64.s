//go:build !purego

#include "textflag.h"

// func prefetch(base unsafe.Pointer, off uintptr, lock unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVD base+0(FP), R0
	MOVD off+8(FP), R1
	ADD  R1, R0
	PRFM (R0), PLDL1KEEP
	PRFM 64(R0), PLDL1KEEP
	MOVD lock+16(FP), R0
	PRFM (R0), PSTL1KEEP
	RET
