package ceremony_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
)

const (
	goodRoot        = `"root":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","mode":"test","made":"2026-10-01T00:00:00Z","root_issuer":"r1","status_url":"http://pki.example/x"`
	goodCertificate = `{"kind":"certificate",` + goodRoot + `,"issuer":"i1","profile_tenant":"acme","profile_version":2,"profile":"name: x\n","common_name":"X","organization":"Acme","csr":"MAA="}`
	goodNext        = `{"kind":"root",` + goodRoot + `,"issuer":"i1","profile_tenant":"acme","profile_version":2,"profile":"name: x\n","key_kind":"p384"}`
	goodCRL         = `{"kind":"crl",` + goodRoot + `,"number":3,"days":30,"entries":[{"serial":"0a","at":"2026-10-01T00:00:00Z","reason":"superseded"}]}`
)

func TestReadRequest(t *testing.T) {
	tests := []struct {
		name, in, say string
	}{
		{"certificate", goodCertificate, ""},
		{"CRL", goodCRL, ""},
		{"root", goodNext, ""},
		{"root without a kind of key", strings.Replace(goodNext, `,"key_kind":"p384"`, ``, 1), "key_kind is missing"},
		{"root with a CSR", strings.Replace(goodNext, `"key_kind"`, `"csr":"MAA=","key_kind"`, 1), "its key is made in the ceremony"},
		{"root with a name", strings.Replace(goodNext, `"key_kind"`, `"common_name":"X","key_kind"`, 1), "has the names of the one that it follows"},
		{"root with a number", strings.Replace(goodNext, `"key_kind"`, `"number":1,"key_kind"`, 1), "belong to a CRL"},
		{"root that is the old one", strings.Replace(goodNext, `"i1"`, `"r1"`, 1), "is the root that is to be followed"},
		{"root without a profile", strings.Replace(goodNext, `"name: x\n"`, `""`, 1), "profile is missing"},
		{"certificate with a kind of key", strings.Replace(goodCertificate, `"csr"`, `"key_kind":"p384","csr"`, 1), "belongs to a root"},
		{"CRL with a kind of key", strings.Replace(goodCRL, `"number"`, `"key_kind":"p384","number"`, 1), "not to a CRL"},
		{"white space around", "\n" + goodCRL + "\n", ""},
		{"nothing", "", "ends in the middle"},
		{"cut", goodCRL[:60], "ends in the middle"},
		{"null", "null", "root is the SHA-256"},
		{"a list", "[" + goodCRL + "]", "not of the right type"},
		{"two objects", goodCRL + goodCRL, "not valid JSON"},
		{"not JSON", "kind: crl", "not valid JSON"},
		{"unknown name", strings.Replace(goodCRL, `"number"`, `"nummer":3,"number"`, 1), `the member at "/nummer" is not known`},
		{"name in capitals", strings.Replace(goodCRL, `"number"`, `"Number"`, 1), `the member at "/Number" is not known`},
		{"name twice", strings.Replace(goodCRL, `"number"`, `"number":4,"number"`, 1), `the member at "/number" stands there twice`},
		{"unknown name within", strings.Replace(goodCRL, `"reason"`, `"why"`, 1), `the member at "/entries/0/why" is not known`},
		{"text for a number", strings.Replace(goodCRL, `"number":3`, `"number":"3"`, 1), `the value at "/number" is not of the right type or form`},
		{"no base64", strings.Replace(goodCertificate, `MAA=`, `MA!=`, 1), `the value at "/csr" is not of the right type or form`},
		{"no time", strings.Replace(goodCRL, `"at":"2026-10-01T`, `"at":"2026-10-32T`, 1), `the value at "/entries/0/at" is not of the right type or form`},
		{"no UTF-8", strings.Replace(goodCertificate, `"X"`, "\"\xff\"", 1), "not valid JSON"},
		{"very deep", strings.Repeat("[", 100_000), "JSON"},
		{"no such kind", strings.Replace(goodCRL, `"crl"`, `"key"`, 1), `kind "key"`},
		{"short root", strings.Replace(goodCRL, `"0011`, `"`, 1), "64 hexadecimal digits"},
		{"root that is no hash", strings.Replace(goodCRL, `"0011`, `"xx11`, 1), "64 hexadecimal digits"},
		{"issuer that is no slug", strings.Replace(goodCRL, `"r1"`, `"../r1"`, 1), "root_issuer"},
		{"no time of its making", strings.Replace(goodCRL, `"made":"2026-10-01T00:00:00Z",`, ``, 1), "made is missing"},
		{"status URL without a scheme", strings.Replace(goodCRL, `http://`, ``, 1), "status URL"},
		{"status URL with a slash at the end", strings.Replace(goodCRL, `/x"`, `/x/"`, 1), "status URL"},
		{"CRL with a CSR", strings.Replace(goodCRL, `"number"`, `"csr":"MAA=","number"`, 1), "belong to a certificate"},
		{"certificate with entries", strings.Replace(goodCertificate, `"issuer"`, `"entries":[],"issuer"`, 1), "belong to a CRL"},
		{"certificate without a CSR", strings.Replace(goodCertificate, `,"csr":"MAA="`, ``, 1), "csr is a request"},
		{"certificate with a long CSR", strings.Replace(goodCertificate, `MAA=`, strings.Repeat("AAAA", 30<<10), 1), "csr is a request"},
		{"certificate without a profile", strings.Replace(goodCertificate, `"name: x\n"`, `""`, 1), "profile is missing"},
		{"certificate with version 0", strings.Replace(goodCertificate, `"profile_version":2`, `"profile_version":0`, 1), "profile_version"},
		{"certificate without a name", strings.Replace(goodCertificate, `"X"`, `""`, 1), "common_name"},
		{"certificate above 1 MiB", strings.Replace(goodCertificate, `name: x`, strings.Repeat("x", 1<<20), 1), "1 MiB"},
		{"CRL above 1 MiB", goodCRL + strings.Repeat(" ", 1<<20), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := ceremony.ReadRequest(strings.NewReader(tt.in))
			checkError(t, err, pki.Malformed, tt.say)
			if err != nil {
				if strings.Contains(pki.DetailOf(err), "ceremony.") || strings.Contains(pki.DetailOf(err), "Go ") {
					t.Errorf("the detail shows our types: %v", pki.DetailOf(err))
				}
				return
			}
			roundTripRequest(t, req)
		})
	}
}

// roundTripRequest checks that req is written as what reads as req.
func roundTripRequest(t *testing.T, req *ceremony.Request) {
	t.Helper()
	var b bytes.Buffer
	if err := ceremony.WriteRequest(&b, req); err != nil {
		t.Fatal(err)
	}
	again, err := ceremony.ReadRequest(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(req, again); diff != "" {
		t.Errorf("read again (-first +again):\n%s", diff)
	}
}

// endless is a file without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestReadIsBounded(t *testing.T) {
	_, err := ceremony.ReadRequest(endless{})
	checkError(t, err, pki.Malformed, "longer than 64 MiB")
}

func TestResponse(t *testing.T) {
	tests := []struct {
		name, in, say string
	}{
		{"certificate", `{"kind":"certificate","issuer":"i1","certificate":"MAA=","profile_version":1}`, ""},
		{"CRL", `{"kind":"crl","root_issuer":"r1","crl":"MAA="}`, ""},
		{"root", `{"kind":"root","issuer":"i1","certificate":"MAA=","profile_version":1,"new_with_old":"MAA=","old_with_new":"MAA="}`, ""},
		{"root with one link", `{"kind":"root","issuer":"i1","certificate":"MAA=","profile_version":1,"new_with_old":"MAA="}`, "holds either"},
		{"certificate with links", `{"kind":"certificate","issuer":"i1","certificate":"MAA=","profile_version":1,"new_with_old":"MAA=","old_with_new":"MAA="}`, "holds either"},
		{"nothing", `{}`, "holds either"},
		{"both", `{"kind":"crl","root_issuer":"r1","crl":"MAA=","issuer":"i1","certificate":"MAA="}`, "holds either"},
		{"the other's", `{"kind":"crl","issuer":"i1","certificate":"MAA="}`, "holds either"},
		{"no certificate", `{"kind":"certificate","issuer":"i1"}`, "holds either"},
		{"unknown name", `{"kind":"crl","root":"r1","crl":"MAA="}`, "is not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := ceremony.ReadResponse(strings.NewReader(tt.in))
			checkError(t, err, pki.Malformed, tt.say)
			if err != nil {
				return
			}
			var b bytes.Buffer
			if err := ceremony.WriteResponse(&b, resp); err != nil {
				t.Fatal(err)
			}
			again, err := ceremony.ReadResponse(&b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(resp, again); diff != "" {
				t.Errorf("read again (-first +again):\n%s", diff)
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	var b bytes.Buffer
	checkError(t, ceremony.WriteRequest(&b, &ceremony.Request{}), pki.Malformed, "root is")
	checkError(t, ceremony.WriteResponse(&b, &ceremony.Response{}), pki.Malformed, "holds either")
	if b.Len() > 0 {
		t.Errorf("wrote %s", b.Bytes())
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte(goodCertificate))
	f.Add([]byte(goodCRL))
	f.Add([]byte(goodNext))
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := ceremony.ReadRequest(bytes.NewReader(in))
		if err != nil {
			// The status URL of a production root may be well-formed and on loopback.
			if kind := pki.KindOf(err); kind != pki.Malformed && kind != pki.PolicyRefused {
				t.Errorf("error %v of kind %v", err, kind)
			}
			return
		}
		roundTripRequest(t, req)
	})
}

func FuzzReadResponse(f *testing.F) {
	f.Add([]byte(`{"kind":"certificate","issuer":"i1","certificate":"MAA=","profile_version":1}`))
	f.Add([]byte(`{"kind":"crl","root_issuer":"r1","crl":"MAA="}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := ceremony.ReadResponse(bytes.NewReader(in)); err != nil && pki.KindOf(err) != pki.Malformed {
			t.Errorf("error %v of kind %v", err, pki.KindOf(err))
		}
	})
}
