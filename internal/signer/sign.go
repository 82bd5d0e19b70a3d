package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Sign signs a to-be-signed structure under the key's own algorithm. Before the
// key is used it checks that the purpose is one of the key's use, else
// Forbidden, and that message is a whole structure of that purpose for this very
// key (see Purpose).
//
// With check the signature is verified over message before it is returned. It
// is verified in any case where a hardware module made it, where the purpose is
// CRL or Request, and until one signature since the key was opened verified. A
// signature that does not verify is an Internal error and is not returned.
func (s *Signer) Sign(ctx context.Context, uri pki.KeyURI, purpose Purpose, message []byte, check bool) ([]byte, error) {
	key, err := s.open(ctx, uri)
	if err != nil {
		return nil, err
	}
	if err := purpose.allows(key.Use); err != nil {
		return nil, err
	}
	if err := purpose.checkShape(key.public, message); err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", uri, err)
	}
	alg := key.public.SignatureAlgorithm()
	begun := time.Now()
	signature, err := tbs.Sign(key.Signer, alg, message)
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", uri, err)
	}
	key.time.Observe(time.Since(begun).Seconds())
	if check || key.Hardware || purpose == CRL || purpose == Request || !key.proven.Load() {
		err := key.verify(alg, message, signature)
		key.proven.Store(err == nil)
		if err != nil {
			return nil, fmt.Errorf("a %s signature by key %s does not verify: %w", purpose, uri, err)
		}
	}
	return signature, nil
}

// SignStream signs what write writes without holding it, except under an
// algorithm that signs messages whole (Ed25519). The purpose is CRL: the other
// structures are small and go through Sign. The same checks are made as there;
// the signature is always verified, over the digest that was taken while write
// wrote.
func (s *Signer) SignStream(ctx context.Context, uri pki.KeyURI, purpose Purpose, write func(io.Writer) error) ([]byte, error) {
	if purpose != CRL {
		return nil, fmt.Errorf("sign with key %s: a %s is not signed as a stream", uri, purpose)
	}
	key, err := s.open(ctx, uri)
	if err != nil {
		return nil, err
	}
	if err := purpose.allows(key.Use); err != nil {
		return nil, err
	}
	alg := key.public.SignatureAlgorithm()
	hash := alg.Hash
	if hash == 0 {
		var whole bytes.Buffer
		if err := write(&whole); err != nil {
			return nil, err
		}
		return s.Sign(ctx, uri, purpose, whole.Bytes(), true)
	}
	digest, shape := hash.New(), crlShape{key: key.public}
	if err := write(io.MultiWriter(&shape, digest)); err != nil {
		return nil, err
	}
	if err := shape.check(); err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", uri, err)
	}
	sum, begun := digest.Sum(nil), time.Now()
	signature, err := key.Signer.Sign(rand.Reader, sum, alg.Options())
	if err != nil {
		return nil, fmt.Errorf("sign with key %s: %w", uri, err)
	}
	key.time.Observe(time.Since(begun).Seconds())
	err = verifyDigest(key.public.Crypto(), alg.Options(), sum, signature)
	key.proven.Store(err == nil)
	if err != nil {
		return nil, fmt.Errorf("a %s signature by key %s does not verify: %w", purpose, uri, err)
	}
	return signature, nil
}

// verifyDigest checks a signature by the algorithms that pando signs digests
// with (see tbs.PublicKey.SignatureAlgorithm).
func verifyDigest(key crypto.PublicKey, options crypto.SignerOpts, digest, signature []byte) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, digest, signature) {
			return errors.New("invalid ECDSA signature")
		}
		return nil
	case *rsa.PublicKey:
		if pss, ok := options.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(key, pss.Hash, digest, signature, pss)
		}
		return rsa.VerifyPKCS1v15(key, options.HashFunc(), digest, signature)
	default:
		return pki.Errorf(pki.BadKey, "a %T does not sign digests", key)
	}
}
