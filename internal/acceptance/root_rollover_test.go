//go:build system

package acceptance

import "testing"

// TestRootRollover: the root of a quickstart is followed by another, by the commands of the
// operator's page. strongSwan and curl get the roots and the links from the server, and by
// them openssl goes from a device of before to the new root, and from one of after to the
// old root.
func TestRootRollover(t *testing.T) {
	h := newHouse(t, 2)
	h.serve(t)
	b := h.newBench(t)
	const enrol = `
		enrol() {
			openssl ecparam -name prime256v1 -genkey -noout > $1.key
			openssl req -new -key $1.key -subj /CN=$1 -outform DER | openssl base64 -A > $1.csr
			curl --silent --show-error --fail --cacert $TLS_CA --user $SECRET_ID:$SECRET -H 'Content-Type: application/pkcs10' --data @$1.csr $EST/simpleenroll |
				openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out $1.pem
		}
		fingerprint() { openssl x509 -in $1 -noout -fingerprint -sha256; }
		authority=$(pando --json endpoint show device | jq -r .authority)
		`
	b.run(t, enrol+`
		umask 077
		sealed=$PANDO_QUICKSTART/ceremony/root.sealed
		echo only for this test > passphrase
		by_old="--passphrase-file $PANDO_QUICKSTART/ceremony/root.passphrase --yes"
		by_new="--passphrase-file passphrase --yes"
		enrol old-device
		pando authority chain $authority > old-chain.pem

		pando authority rollover root
		pando authority request root --out root.request.json
		pando ceremony rollover --root $sealed --new root-2.sealed --request root.request.json --out root.answer.json --new-passphrase-file passphrase $by_old
		pando ceremony certificate --root root-2.sealed --out new.pem
		pando ceremony certificate --root $sealed --out old.pem
		pando authority install root.answer.json
		pando --json authority show root | jq -r '.issuers[0].new_with_old' > new-with-old.pem
		pando --json authority show root | jq -r '.issuers[0].old_with_new' > old-with-new.pem
		for issuer in $(pando --json authority show root | jq -r '.issuers[].id'); do
			pando authority crl-request root --issuer $issuer --out $issuer.json
		done
		issuer=$(pando --json authority show root | jq -r '.issuers[0].id')
		pando ceremony sign --root root-2.sealed --request $issuer.json --out crl.answer.json $by_new
		pando authority install crl.answer.json

		pki --estca --url $BASE --cacert $TLS_CA --caout ca.pem --outform pem --force
		curl --silent --show-error --fail --cacert $TLS_CA $EST/cacerts | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out cacerts.pem
		test $(grep -c BEGIN cacerts.pem) = 5
		for c in old new new-with-old old-with-new; do
			for got in ca*.pem; do
				if [ $got != cacerts.pem ]; then fingerprint $got; fi
			done | grep -x "$(fingerprint $c.pem)"
			openssl x509 -in $c.pem | grep -v -- ----- | grep -c -x -F -f - cacerts.pem
		done

		pando authority switch root --yes
		pando authority rollover $authority
		pando authority request $authority --out next.request.json
		pando ceremony sign --root root-2.sealed --request next.request.json --out next.answer.json $by_new
		pando authority install next.answer.json
		pando authority switch $authority --yes
		enrol new-device
		pando authority chain $authority > new-chain.pem

		openssl verify -x509_strict -CAfile new.pem -untrusted <(openssl x509 -in old-chain.pem; cat old-with-new.pem) old-device.pem
		openssl verify -x509_strict -CAfile old.pem -untrusted <(openssl x509 -in new-chain.pem; cat new-with-old.pem) new-device.pem
		! openssl verify -CAfile old.pem -untrusted <(openssl x509 -in new-chain.pem) new-device.pem`,
		"old-device.pem: OK", "new-device.pem: OK")
	h.stop(t)
	h.check(t, "")
}
