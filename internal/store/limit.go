package store

import (
	"context"

	"golang.org/x/time/rate"
)

// Limiter holds what is sent to one target to a rate. A nil one is no limit.
type Limiter struct{ rate *rate.Limiter }

// NewLimiter returns a limiter for bytes a second, or nil for 0.
func NewLimiter(bytesPerSecond int64) *Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	// Pieces of a tenth of a second: long enough to be few, short enough for nobody to take the pause for a stall.
	piece := int(max(1, min(bytesPerSecond/10, 64<<10)))
	return &Limiter{rate.NewLimiter(rate.Limit(bytesPerSecond), piece)}
}

// Piece is how many of n bytes to hand over at once.
func (l *Limiter) Piece(n int) int {
	if l == nil {
		return n
	}
	return min(n, l.rate.Burst())
}

// Wait returns when n more bytes may be sent, or when the context ends.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	for l != nil && n > 0 {
		piece := l.Piece(n)
		if err := l.rate.WaitN(ctx, piece); err != nil {
			return err
		}
		n -= piece
	}
	return ctx.Err()
}
