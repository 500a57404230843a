//go:build !purego

#include "textflag.h"

// func prefetch(base unsafe.Pointer, off uintptr, lock unsafe.Pointer)
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVQ base+0(FP), AX
	ADDQ off+8(FP), AX
	PREFETCHT0 (AX)
	PREFETCHT0 64(AX)
	MOVQ lock+16(FP), AX
	BYTE $0x0F; BYTE $0x0D; BYTE $0x08 // PREFETCHW (AX): the line is going to be written
	RET
