package tbs

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// readsAs compares what a reader makes of a request with what ParseCSR does.
func readsAs(t testing.TB, r *CSRReader, request []byte) {
	t.Helper()
	want, wantErr := ParseCSR(request)
	got, err := r.Parse(request)
	if (err == nil) != (wantErr == nil) || pki.KindOf(err) != pki.KindOf(wantErr) {
		t.Fatalf("%x: %v, want %v", request, err, wantErr)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%x: read as another", request)
	}
}

// TestCSRReader changes each octet of requests in several ways: a reader that knows
// their shape, and those that it comes to know meanwhile, accepts what ParseCSR
// accepts and nothing else.
func TestCSRReader(t *testing.T) {
	serial := Attribute{OID: der.OIDSerialNumber, Type: PrintableString, Value: "SM-1"}
	for name, subject := range map[string]Name{
		"two attributes": {{OID: der.OIDCommonName, Value: "Meter"}, serial},
		"one twice":      {serial, serial},
		"not plain":      {{OID: der.OIDOrganization, Value: "Ümlaut"}, serial},
		"of several":     {{OID: der.OIDCommonName, Value: "Meter"}, {OID: der.OIDSerialNumber, Type: PrintableString, Value: "1", Joined: true}},
		"IA5":            {{OID: der.OIDDomainComponent, Type: IA5String, Value: "example"}, serial},
		"none":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRequest(t, extensionRequest(sanExtension(t, 1)))
			r.subject = must(t)(subject.Append(nil))
			request := r.sign(t)
			reader := new(CSRReader)
			readsAs(t, reader, request)
			for i := range request {
				for _, change := range []byte{1, 2, 0x20, 0x80, 0xff} {
					changed := bytes.Clone(request)
					changed[i] ^= change
					readsAs(t, reader, changed)
				}
			}
		})
	}
}

// TestCSRReaderShapes says which requests the second parser does not read.
func TestCSRReaderShapes(t *testing.T) {
	shape := func(signer request, subject Name) (string, bool) {
		signer.subject = must(t)(subject.Append(nil))
		c, err := parseCSR(signer.sign(t))
		if err != nil {
			t.Fatal(err)
		}
		sum, ok := c.shape()
		return fmt.Sprintf("%x", sum), ok
	}
	name := func(value string) Name {
		return Name{{OID: der.OIDSerialNumber, Type: PrintableString, Value: value}}
	}
	first, ok := shape(newRequest(t), name("SM-000001"))
	if !ok {
		t.Fatal("no shape")
	}
	if other, _ := shape(newRequest(t), name("SM-000002")); other != first {
		t.Error("another key and serial number have another shape")
	}
	seen := map[string]bool{first: true}
	for what, other := range map[string]Name{
		"length":    name("SM-1"),
		"attribute": {{OID: der.OIDCommonName, Type: PrintableString, Value: "SM-000001"}},
		"type":      {{OID: der.OIDCommonName, Value: "SM-000001"}},
	} {
		other, ok := shape(newRequest(t), other)
		if !ok || seen[other] {
			t.Errorf("another %s has the same shape", what)
		}
		seen[other] = true
	}
	if other, _ := shape(newRequest(t, extensionRequest(sanExtension(t, 1))), name("SM-000001")); other == first {
		t.Error("a request for an extension has the same shape")
	}
	if _, ok := shape(newRequest(t), append(name("SM-000001"), name("SM-000001")...)); ok {
		t.Error("a subject with an attribute twice has a shape")
	}
}

// A reader forgets all shapes when it has too many.
func TestCSRReaderForgets(t *testing.T) {
	r := new(CSRReader)
	for i := range maxShapes + 1 {
		r.learn([32]byte{byte(i), byte(i >> 8)})
	}
	if len(r.known) != 1 || r.knows([32]byte{0}) {
		t.Errorf("it knows %d shapes", len(r.known))
	}
}

// FuzzCSRReader reads two requests one after the other, with ParseCSR as the oracle.
func FuzzCSRReader(f *testing.F) {
	for range 2 {
		plain := newRequest(f).sign(f)
		f.Add(plain, newRequest(f).sign(f))
		f.Add(plain, newCSR(f, newSigner(f, pki.P256)))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r := new(CSRReader)
		readsAs(t, r, first)
		readsAs(t, r, second)
	})
}
