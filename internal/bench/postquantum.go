package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// postQuantumName names an authority with an ML-DSA-65 key, its profile and its
// endpoint.
const postQuantumName = "mldsa65"

// issuePostQuantum measures row 14: the same devices with P-256 keys, under an
// authority with a P-256 key and under one with ML-DSA-65.
func (b *bench) issuePostQuantum(ctx context.Context) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	if err := b.addPostQuantum(ctx); err != nil {
		return fmt.Errorf("making an authority with ML-DSA: %w", err)
	}
	bare, err := bareMLDSA()
	if err != nil {
		return err
	}
	rates := map[string]float64{endpoint: 500, postQuantumName: 200} // guesses, which the first load corrects
	for round := range b.rounds + 1 {
		cpu := make(map[string]float64)
		var signature pace
		for _, at := range []string{endpoint, postQuantumName} {
			l, err := b.enrolmentsAt(ctx, at, max(clients, int(rates[at]*b.length.Seconds())))
			if err != nil {
				return err
			}
			r, err := l.measure(ctx, b.server, 0)
			if err != nil {
				return err
			}
			rates[at], cpu[at] = r.rate, r.cpu
			if at == endpoint { // between the two
				if signature, err = measure(b.length/8, 1, bare); err != nil {
					return err
				}
			}
		}
		if round == 0 {
			continue // caches were cold
		}
		above := cpu[postQuantumName] - cpu[endpoint]
		b.report.add(postQuantum, above/signature.cpu)
		b.tell("rest: %.1f µs of CPU under P-256, %.1f under ML-DSA-65; the signature alone %.1f; %.2f ×",
			cpu[endpoint], cpu[postQuantumName], signature.cpu, above/signature.cpu)
	}
	return nil
}

// addPostQuantum makes the authority.
func (b *bench) addPostQuantum(ctx context.Context) error {
	source, err := packs.Document("issuing-ca")
	if err != nil {
		return err
	}
	text := strings.NewReplacer("profile: issuing-ca", "profile: "+postQuantumName, "allow: [p256]", "allow: ["+string(pki.MLDSA65)+"]").Replace(string(source))
	if _, err := b.api.PublishProfile(ctx, []byte(text)); err != nil {
		return err
	}
	return b.addAuthority(ctx, client.NewAuthority{Name: postQuantumName, Profile: postQuantumName, KeyKind: string(pki.MLDSA65)}, "rest")
}

// bareMLDSA returns what signs as many octets as a certificate has.
func bareMLDSA() (func() error, error) {
	key, err := keystore.NewPrivateKey(pki.MLDSA65)
	if err != nil {
		return nil, err
	}
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	message := make([]byte, 600)
	return func() error {
		_, err := tbs.Sign(key, public.SignatureAlgorithm(), message)
		return err
	}, nil
}
