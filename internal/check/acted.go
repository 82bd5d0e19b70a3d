package check

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// checkActed holds what an event did for good against what the store says of it now: a
// lot stays closed, its report and a profile's version stay what they are, and a device
// stays decommissioned.
func (c *checker) checkActed(ctx context.Context, e *pki.Event) error {
	var check func(ctx context.Context, e *pki.Event, name string) (wrong string, err error)
	switch e.Action {
	case "lot.close":
		check = c.lotClosed
	case "lot.report":
		check = c.lotReported
	case "device.decommission":
		check = c.deviceDecommissioned
	case "profile.publish":
		check = c.profilePublished
	default:
		return nil
	}
	_, name, _ := strings.Cut(e.Target, ":")
	wrong, err := check(ctx, e, name)
	if err != nil && pki.KindOf(err) != pki.NotFound {
		return fmt.Errorf("reading what event %s is about: %w", e.ID, err)
	}
	if err != nil {
		wrong = "it is not in the store"
	}
	if wrong != "" {
		c.report.addf(Acted, fmt.Sprintf("%s of %s", e.Target, e.Tenant), "%s, and by event %s %s did %s to it", wrong, e.ID, e.Actor, e.Action)
	}
	return nil
}

func (c *checker) lotClosed(ctx context.Context, e *pki.Event, name string) (wrong string, err error) {
	l, err := c.store.Lot(ctx, e.Tenant, name)
	if err != nil {
		return "", err
	}
	if l.State != registry.LotClosed {
		return "the store says that it is " + string(l.State), nil
	}
	_, err = c.store.Closing(ctx, e.Tenant, name)
	return "", err
}

func (c *checker) lotReported(ctx context.Context, e *pki.Event, name string) (wrong string, err error) {
	closing, err := c.store.Closing(ctx, e.Tenant, name)
	if err != nil || is(e, closing.Report) {
		return "", err
	}
	return "the store has another report", nil
}

func (c *checker) deviceDecommissioned(ctx context.Context, e *pki.Event, name string) (wrong string, err error) {
	state, err := c.store.DeviceState(ctx, e.Tenant, pki.DeviceID(name))
	if err != nil || state == registry.Decommissioned {
		return "", err
	}
	if state == "" {
		return "the store does not know it", nil
	}
	return "the store says that it is " + string(state), nil
}

func (c *checker) profilePublished(ctx context.Context, e *pki.Event, name string) (wrong string, err error) {
	var version int
	if _, err := fmt.Sscanf(e.Detail, "version %d,", &version); err != nil {
		return "", nil // an event that says something else
	}
	v, err := c.store.Profile(ctx, pki.ProfileRef{Tenant: e.Tenant, Name: name, Version: version})
	if err != nil || is(e, v.Source) && v.Hash == sha256.Sum256([]byte(v.Source)) {
		return "", err
	}
	return fmt.Sprintf("the store has another document of version %d", version), nil
}

// is reports whether a text is the one of which an event has the hash, at its end or in
// front of who approved it; also where it has none.
func is(e *pki.Event, text string) bool {
	_, digest, found := strings.Cut(e.Detail, "sha256 ")
	digest, _, _ = strings.Cut(digest, " ")
	sum := sha256.Sum256([]byte(text))
	return !found || digest == hex.EncodeToString(sum[:])
}
