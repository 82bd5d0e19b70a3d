package limit

import (
	"errors"

	"github.com/pando-pki/pando/internal/pki"
)

// An Asker is whose request it is. The zero Asker is nobody.
type Asker struct {
	Known  bool
	Tenant pki.TenantID
	Device pki.DeviceID // "" for one that is no device
}

// Admit has prove find who asks, by a credential named by a hash, and takes the
// request from what the device and the tenant may send, or from the failures that its
// source may have. It comes before the rest of a request is looked at. The error is
// prove's, or a limit's; who is what prove returned.
func (l *Limits) Admit(remote string, credential uint64, prove func() (Asker, error)) error {
	if err := l.Try(remote, credential); err != nil {
		return err
	}
	who, err := prove()
	switch {
	case failed(who, err):
		cost := 1
		if _, ok := errors.AsType[dear](err); ok {
			cost = dearCost
		}
		if limited := l.fail(remote, credential, cost); limited != nil {
			return limited
		}
	case who.Known:
		l.Proved(credential)
		if limited := l.spend(who); limited != nil {
			return limited
		}
	}
	return err
}

// failed reports whether a proof was looked at and did not hold. What somebody else who was
// asked about it refuses (PolicyRefused) did not, whatever they say is wrong: else whoever
// guesses would have as many guesses as they like. What found no place to be looked at, or
// could not be looked at, says nothing about who sent it.
func failed(who Asker, err error) bool {
	kind := pki.KindOf(err)
	return kind == pki.Unauthenticated || kind == pki.PolicyRefused && !who.Known
}

// dearCost is what a proof costs its source that took long to look at and failed: at the
// rate that failures have by default, one a second.
const dearCost = 10

// dear is the error of such a proof.
type dear struct{ error }

func (d dear) Unwrap() error { return d.error }

// Dear marks the error of a proof that took long to look at, which has its source spend
// more of what it may fail: such proofs are so slow that a source would never have spent it.
func Dear(err error) error { return dear{err} }

// spend takes a request from what a device may send, lest one spends what all of its
// tenant have, and then from what the tenant may.
func (l *Limits) spend(who Asker) error {
	if who.Device != "" {
		if err := l.Device(who.Tenant, who.Device); err != nil {
			return err
		}
	}
	return l.Tenant(who.Tenant)
}
