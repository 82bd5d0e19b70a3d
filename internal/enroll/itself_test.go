package enroll_test

import (
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// asDevice returns a request that a device of acme's makes by its certificate.
func (h *house) asDevice(id pki.DeviceID, endpoint string, csr []byte) enroll.Request {
	h.t.Helper()
	who := access.Principal{Tenant: "acme", ID: "certificate:x/1", Role: access.Device, Device: id}
	g, err := who.Authorize(access.Enroll, "acme")
	if err != nil {
		h.t.Fatal(err)
	}
	return enroll.Request{Grant: g, Endpoint: endpoint, Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr}}
}

// TestIdempotencyOfDevices: the keys of each device are its own, so that none takes the
// key that its tenant's server, or another device, is going to use.
func TestIdempotencyOfDevices(t *testing.T) {
	h := newHouse(t, "meter")
	key := strings.Repeat("k", enroll.MaxIdempotency)
	first := h.asDevice("SM-1", "meter", meterCSR(t, "SM-1"))
	first.Idempotency = key
	one, _ := h.get(first)
	if again, _ := h.get(first); !again.Repeated || again.Certificate.Serial != one.Certificate.Serial {
		t.Errorf("the device's own request again: %+v", again)
	}
	for what, r := range map[string]enroll.Request{
		"the maker's server": h.request("meter", meterCSR(t, "SM-2")),
		"another device":     h.asDevice("SM-3", "meter", meterCSR(t, "SM-3")),
	} {
		r.Idempotency = key
		if got, _ := h.get(r); got.Repeated {
			t.Errorf("%s gets another's certificate", what)
		}
	}
	another := h.asDevice("SM-1", "meter", meterCSR(t, "SM-1"))
	another.Idempotency = key
	_, err := h.Enroll.Enroll(t.Context(), another)
	refused(t, err, pki.Conflict)
	forged := h.request("meter", meterCSR(t, "SM-4"))
	forged.Idempotency = "device\n00"
	_, err = h.Enroll.Enroll(t.Context(), forged)
	refused(t, err, pki.Malformed)
}
