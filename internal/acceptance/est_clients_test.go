//go:build system

package acceptance

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

// How the pages make a key, and how they say that it is made with RSA.
const ecKey, rsaKey = "openssl ecparam -name prime256v1 -genkey -noout", "openssl genrsa"

// TestESTClients: clients that are not ours enrol by EST at the server of a quickstart,
// and what the operator's pages tell them runs as it stands there.
func TestESTClients(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	t.Run("page", func(t *testing.T) {
		page := recipes(t, "est.md", 3)
		b := h.newBench(t)
		b.run(t, strings.Join(page, ""), "device.pem: OK", "next.pem: OK", "vpn-next.pem: OK")
		b.areFor(t, pki.P256, "device.pem", "next.pem")
		h.have(t, 2, "gw-1", "vpn-1")
		b = h.newBench(t)
		b.run(t, strings.NewReplacer(ecKey, rsaKey, "gw-1", "gw-rsa-1").Replace(page[0]+page[1]), "device.pem: OK", "next.pem: OK")
		b.areFor(t, pki.RSA2048, "device.pem", "next.pem")
		h.have(t, 2, "gw-rsa-1")
	})
	t.Run("strongswan", func(t *testing.T) { strongSwanEST(t, h) })
	t.Run("serverkey", func(t *testing.T) { serverKeys(t, h) })
	h.stop(t)
	h.check(t, "")
}

// strongSwanEST: strongSwan's pki fetches the authorities' certificates, enrols by an
// enrolment secret, and renews, with P-256 and with RSA keys.
func strongSwanEST(t *testing.T, h *house) {
	for name, generate := range map[string]string{"gw-p256": "--type ecdsa --size 256", "gw-rsa": "--type rsa --size 2048"} {
		b := h.newBench(t).with("GENERATE="+generate, "NAME="+name)
		b.run(t, `
			pki --estca --url $BASE --cacert $TLS_CA --caout ca.pem --outform pem --force
			pki --gen $GENERATE --outform pem > first.key
			pki --req --in first.key --dn "CN=$NAME" > first.csr
			pki --est --url $BASE --in first.csr --cacert $TLS_CA --userpass $SECRET_ID:$SECRET --outform pem > first.pem
			pki --gen $GENERATE --outform pem > next.key
			pki --req --in next.key --dn "CN=$NAME" > next.csr
			pki --est --url $BASE --in next.csr --cacert $TLS_CA --cert first.pem --key first.key --outform pem > next.pem
			for c in first next; do
				openssl verify -x509_strict -CAfile ca.pem -untrusted ca-1.pem -purpose sslclient $c.pem
				cmp <(openssl x509 -in $c.pem -noout -pubkey) <(openssl pkey -in $c.key -pubout)
			done
			! pki --est --url $BASE --in next.csr --cacert $TLS_CA --userpass $SECRET_ID:no > refused`,
			"first.pem: OK", "next.pem: OK", "HTTP 401")
		h.have(t, 2, name)
	}
}

// sealedKey is what a device's script does that has its key made, and encrypted for the
// certificate that it asks by.
const sealedKey = `
	curl --silent --show-error --fail --cacert $TLS_CA --cert $CERT --key $KEY -H 'Content-Type: application/pkcs10' --data @$REQUEST $EST/serverkeygen |
		tr -d '\r' | awk '/^--/ { part++; body = 0; next } body { print > "sealed" part } /^$/ { body = 1 }'
	openssl base64 -d -A -in sealed1 | openssl cms -decrypt -inform DER -inkey $KEY -recip $CERT | openssl pkey -inform DER -out sealed.key
	openssl base64 -d -A -in sealed2 | openssl pkcs7 -inform DER -print_certs -out sealed.pem
	openssl verify -x509_strict -CAfile authorities.pem -purpose sslclient sealed.pem
	openssl x509 -in sealed.pem -noout -pubkey | cmp - <(openssl pkey -in sealed.key -pubout)`

// serverKeys: a device has its keys made, in plain, and with one of them for the next, by
// curl and openssl alone.
func serverKeys(t *testing.T, h *house) {
	b := h.newBench(t)
	plain := recipes(t, "server-keys.md", 1)[0]
	b.run(t, plain, "gw-2.pem: OK")
	b.run(t, strings.NewReplacer(ecKey, rsaKey, "gw-2", "gw-3").Replace(plain), "gw-3.pem: OK")
	b.areFor(t, pki.RSA2048, "gw-3.pem")
	first := readCertificates(t, filepath.Join(b.dir, "gw-3.pem"))[0]
	request := pandotest.CSRWith(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "gw-3"},
		pandotest.Attribute{OID: der.OIDAsymmetricDecryptKeyIdentifier, Value: der.Append(nil, asn1.OCTET_STRING, first.SubjectKeyId)})
	writeFile(t, b.dir, "sealed.request", []byte(base64.StdEncoding.EncodeToString(request)))
	b.with("CERT=gw-3.pem", "KEY=gw-3.key", "REQUEST=sealed.request").run(t, sealedKey, "sealed.pem: OK")
	h.have(t, 1, "gw-2")
	h.have(t, 2, "gw-3")
}
