package auditlog

import (
	"context"
	"errors"
)

// The rounds of Run, for tests that make them one by one.
var (
	Sequence = (*Service).sequence
	Watch    = (*Service).watch
)

// Deliver chooses what anchors get, and hands it to them.
func Deliver(s *Service, ctx context.Context) error {
	return errors.Join(s.choose(ctx, s.cfg.Every-delivery), s.hand(ctx))
}
