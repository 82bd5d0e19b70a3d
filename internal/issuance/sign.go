package issuance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// sign makes the item's certificate. Only items of a committed intent come here.
// A panic of a key's driver is an error like any other: a group that is never
// recorded would hold up all who wait for it, and the shutdown.
func (s *Service) sign(ctx context.Context, line *Line, item *Item) (err error) {
	defer func() {
		if v := recover(); v != nil {
			item.DER, err = nil, fmt.Errorf("panic while signing: %v\n%s", v, debug.Stack())
		}
	}()
	check := line.Hardware || line.Authority.SignCheck == pki.CheckAlways || line.Authority.Kind != pki.Issuing
	signature, err := s.cfg.Signer.Sign(ctx, line.Issuer.Key, signer.Certificate, item.TBS, check)
	if err != nil {
		return err
	}
	item.DER = tbs.AppendSigned(make([]byte, 0, len(item.TBS)+128), item.TBS, line.Parsed.Key.SignatureAlgorithm(), signature)
	return nil
}

// signRequest signs the items of a single request: one, or a pair, of which both are
// void where one fails.
func (s *Service) signRequest(ctx context.Context, line *Line, items []*Item) error {
	for _, item := range items {
		if err := s.sign(ctx, line, item); err != nil {
			for _, item := range items {
				item.DER = nil
			}
			return err
		}
	}
	return nil
}

// signAll signs the items of a chunk. Where one fails, all are void: a chunk is
// made whole or given back whole.
func (s *Service) signAll(ctx context.Context, line *Line, items []*Item) error {
	err := s.cores.Each(len(items), func(i int) error { return s.sign(ctx, line, items[i]) })
	if err != nil {
		for _, item := range items {
			item.DER = nil
		}
	}
	return err
}

// lineOf returns what is needed to complete an adopted intent: its issuer's key
// and certificate. Its authority asks for every check, since nobody waits.
func (s *Service) lineOf(ctx context.Context, id pki.IssuerID) (*Line, error) {
	issuer, err := s.cfg.Issuers.Issuer(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(issuer.Certificate) == 0 || issuer.Key == pki.OfflineKey {
		return nil, errors.New("the issuer has no key here")
	}
	parsed, err := tbs.ParseCertificate(issuer.Certificate)
	if err != nil {
		return nil, err
	}
	public, _, err := s.cfg.Signer.Public(ctx, issuer.Key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(public.SPKI(), parsed.Key.SPKI()) {
		return nil, fmt.Errorf("issuer %s: its key %s is not that of its certificate", id, issuer.Key)
	}
	parsed.Key = public
	return &Line{Authority: pki.Authority{ID: issuer.Authority, SignCheck: pki.CheckAlways, Kind: pki.Issuing}, Issuer: *issuer, Parsed: parsed}, nil
}
