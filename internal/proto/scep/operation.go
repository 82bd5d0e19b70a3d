package scep

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// bodyPatience is how long the body of a message may take.
const bodyPatience = 5 * time.Second

// An operation is one message with what it is answered with.
type operation struct {
	*message
	server  *Server
	label   string
	ra      *RA
	remote  string
	content []byte     // of the message's envelope
	cipher  cms.Cipher // that the answer is encrypted with

	challenge pki.Secret       // of the request, once it is read
	own       bool             // likewise: the key of the request signed the message
	device    pki.DeviceID     // that the request names; it may be another's
	waits     *Transaction     // of a poll
	asked     string           // of a poll, or of what came before: the principal whose challenge came with the request
	who       access.Principal // that the message proves, once it does
	leave     func()           // gives back the place of its tenant
}

// pkiOperation serves PKIOperation (RFC 8894, 4.3). What can be answered by a CertRep is;
// a message that is no SCEP message is answered by HTTP alone.
func (s *Server) pkiOperation(w http.ResponseWriter, r *http.Request, label string, ra *RA) error {
	raw, err := readBody(w, r)
	if err != nil {
		return err
	}
	m, err := readMessage(raw)
	if err != nil {
		return err
	}
	op := &operation{message: m, server: s, label: label, ra: ra, remote: r.RemoteAddr}
	answer, envelope, err := op.answer(r.Context())
	defer op.end()
	if err != nil {
		c := codeOf(pki.KindOf(err))
		if c.again {
			return err
		}
		s.log(r, label, m, err)
		answer, envelope = &reply{status: statusFailure, failInfo: c.failInfo, text: pki.DetailOf(err)}, nil
	}
	signed, err := op.ra.Signer.sign(m, answer, envelope)
	if err != nil {
		return err
	}
	write(w, r, "application/x-pki-message", signed)
	return nil
}

// readBody returns the message of a request: the body of a POST, or base64 in the query of
// a GET (RFC 8894, 4.3), where a "+" that was not escaped has become a blank.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	switch r.Method {
	case http.MethodPost:
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, statusError{http.StatusRequestEntityTooLarge, pki.Errorf(pki.Malformed, "the message has more than %d octets", maxMessage)}
		}
		if err != nil {
			return nil, pki.Because(pki.Malformed, err, "the message did not come whole")
		}
		return body, nil
	case http.MethodGet:
		text := strings.NewReplacer(" ", "+", "\r", "", "\n", "").Replace(r.URL.Query().Get("message"))
		body, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, pki.Because(pki.Malformed, err, "the parameter message is not base64")
		}
		return body, nil
	}
	w.Header().Set("Allow", "GET, POST")
	return nil, statusError{http.StatusMethodNotAllowed, pki.Errorf(pki.Malformed, "PKIOperation is asked for by POST or GET")}
}

// answer does what a message asks for, within the limits, and returns what a CertRep says
// of it, with the envelope of a success. A message that cannot be opened is a failed
// proof: whoever changes the envelopes of others tries many.
func (op *operation) answer(ctx context.Context) (*reply, []byte, error) {
	limits := op.server.cfg.Limits
	if err := limits.Try(op.remote, op.sender()); err != nil {
		return nil, nil, err
	}
	said, envelope, err := op.do(ctx)
	if err != nil {
		err = op.refused(ctx, err) // before a limit says something else
	}
	switch {
	case pki.KindOf(err) == pki.BadProof:
		if limited := limits.Failure(op.remote, op.sender()); limited != nil {
			err = limited
		}
	case err == nil && op.kind != getCRL: // which proves nobody
		limits.Proved(op.sender())
	}
	return said, envelope, err
}

// refused has operators see what a message was refused for. Whom an envelope is for is what
// everybody can see of it. Why else it did not open, and whether it was of 3DES, which shows
// once it opens, is for the server's log alone: else whoever may look at an endpoint could
// decrypt what they record of its devices (see errOpen).
func (op *operation) refused(ctx context.Context, err error) error {
	r := enroll.Refusal{Label: op.label, Protocol: pki.ProtocolSCEP, Remote: op.remote, Who: op.who, Device: op.device}
	if errors.Is(err, cms.ErrRecipient) {
		r.Why = pki.DetailOf(err) + ": " + pki.DetailOf(cms.ErrRecipient)
	}
	return op.server.cfg.RA.NoteRefusal(ctx, r, err)
}

// end gives back what the message took of its tenant's places.
func (op *operation) end() {
	if op.leave != nil {
		op.leave()
	}
}

// do does what a message asks for.
func (op *operation) do(ctx context.Context) (*reply, []byte, error) {
	if err := op.verify(op.ra.Legacy); err != nil {
		return nil, nil, err
	}
	// All that does not depend on what the envelope carries comes before it is opened: what
	// comes after has one answer until the content is shown to be whole (see errOpen).
	if _, err := tbs.ParsePublicKey(cms.SubjectPublicKey(op.signer)); err != nil {
		return nil, nil, err
	}
	var err error
	if op.kind == certPoll {
		if op.waits, err = op.waiting(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err = op.openBy(); err != nil {
		return nil, nil, err
	}
	defer clear(op.content) // a request has its challenge in it
	if op.legacy {
		op.server.cfg.Log.WarnContext(ctx, "SCEP with legacy algorithms or nonces", "endpoint", op.label, "type", op.kind.String(), "from", op.remote)
	}
	var content []byte
	switch op.kind {
	case pkcsReq, renewalReq:
		content, err = op.enrol(ctx)
	case certPoll:
		content, err = op.poll(ctx)
	case getCert:
		content, err = op.getCert(ctx)
	case getCRL:
		content, err = op.getCRL(ctx)
	}
	switch {
	case pki.KindOf(err) == pki.Pending:
		return &reply{status: statusPending}, nil, nil
	case err != nil:
		return nil, nil, err
	}
	to, err := op.recipient()
	if err == nil && to.Certificate == nil {
		to.Derived, err = op.passwordKey(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	envelope, err := cms.Encrypt(cms.Envelope{Content: content, Cipher: op.cipher}, to)
	return &reply{status: statusSuccess}, envelope, err
}

// recipient returns whom a success is encrypted to (RFC 8894, 3.1): the key that signed
// the message, or where that key does not decrypt nobody but who knows the challenge, whose
// key is derived (passwordKey) when there is something to encrypt.
func (op *operation) recipient() (cms.Recipient, error) {
	key, err := tbs.ParsePublicKey(cms.SubjectPublicKey(op.signer))
	if err != nil {
		return cms.Recipient{}, err
	}
	if strings.HasPrefix(string(key.Kind()), "rsa") {
		return cms.Recipient{Certificate: op.signer}, nil
	}
	if op.challenge.IsZero() {
		return cms.Recipient{}, pki.Errorf(pki.BadKey, "an answer cannot be encrypted to a key of kind %s, and the message carries no challengePassword to encrypt it with (RFC 8894, 3.1): use RSA", key.Kind())
	}
	return cms.Recipient{}, nil
}

// tenant returns the tenant of the endpoint.
func (op *operation) tenant() pki.TenantID {
	tenant, _, _ := strings.Cut(op.label, ".")
	return pki.TenantID(tenant)
}

// endpoint returns the endpoint's name within its tenant.
func (op *operation) endpoint() string {
	_, name, _ := strings.Cut(op.label, ".")
	return name
}
