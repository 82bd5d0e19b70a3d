package issuance

import (
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// An Order is what the registration authority decided: one certificate to make.
type Order struct {
	Line      *Line
	Profile   *policy.Bound // bound to Line's issuer
	Content   *tbs.Content  // all but the serial, which Prepare sets
	Owner     pki.TenantID
	Device    pki.DeviceID
	Placement pki.Placement
	Endpoint  string // see Item

	// Of a single request: see Item.
	Idempotency string
	RequestHash [32]byte
	Request     []byte // DER of the PKCS #10 request; kept without its key and its challenge
	Actor       string
	Change      pki.ChangeID

	Row    int64          // of a batch
	Within *access.Within // see Item
}

// usualTBS is the size of memory that holds what is to be signed for most devices.
const usualTBS = 640

// Prepare chooses the serial, builds the to-be-signed bytes and lints them. A
// finding of the lint is PolicyRefused: nothing is intended or signed.
func Prepare(o *Order, now time.Time) (*Item, error) {
	class := pki.ClassOf(o.Content.NotBefore, o.Content.NotAfter)
	if o.Line.Authority.RandomSerials {
		class = pki.SerialRandom
	}
	o.Content.Serial = pki.NewSerial(class, now)
	bytes, err := o.Profile.Append(make([]byte, 0, usualTBS), o.Content)
	if err == nil {
		err = o.Profile.Lint(bytes, o.Content)
	}
	if err != nil {
		return nil, pki.Because(pki.PolicyRefused, err, "what the profile makes of this request is not a certificate that may be issued: %v", err)
	}
	profile, spki := o.Profile.Profile(), o.Content.Key.SPKI()
	var request []byte
	if len(o.Request) > 0 {
		request = tbs.CutKey(tbs.BlankChallenge(o.Request), spki)
	}
	return &Item{
		Serial: o.Content.Serial, Owner: o.Owner, Device: o.Device, Placement: o.Placement, Endpoint: o.Endpoint,
		Profile: o.Profile.Ref(), NotBefore: o.Content.NotBefore, NotAfter: o.Content.NotAfter,
		TBS: bytes, KeyHash: tbs.SecretHash(o.Content.Key),
		SharedKey: profile.SharedKeys(), RenewSameKey: profile.RenewSameKey(), Row: o.Row, Within: o.Within,
		Idempotency: o.Idempotency, RequestHash: o.RequestHash, Request: request, Actor: o.Actor, Change: o.Change,
	}, nil
}
