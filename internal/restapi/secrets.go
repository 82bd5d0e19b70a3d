package restapi

import (
	"context"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
)

type newSecretInput struct {
	Caller
	Body client.NewSecret
}

type secretInput struct {
	Caller
	ID string `path:"id"`
}

type secretsInput struct {
	Caller
	Endpoint string `query:"endpoint" maxLength:"81" doc:"Only those of this endpoint, by name or label."`
	Device   string `query:"device" maxLength:"128" doc:"Only those of this device."`
	NewestFirst
}

func (s *server) createSecret(ctx context.Context, g access.Permit, in *newSecretInput) (*answer[client.CreatedSecret], error) {
	n := in.Body
	made, text, err := s.cfg.Secrets.Create(ctx, g, enrolauth.NewSecret{
		Endpoint: n.Endpoint, Name: n.Name, Device: pki.DeviceID(n.Device), Subject: n.Subject, Once: n.Once,
		Life: time.Duration(n.LifeSeconds) * time.Second, Chosen: pki.NewSecret(n.Chosen.Reveal()),
	})
	if err != nil {
		return nil, err
	}
	return &answer[client.CreatedSecret]{client.CreatedSecret{EnrolmentSecret: wireSecret(made), Secret: client.TokenOf(text.Reveal())}}, nil
}

func (s *server) listSecrets(ctx context.Context, g access.Permit, in *secretsInput) (*listOf[client.EnrolmentSecret], error) {
	all, next, err := s.cfg.Secrets.Secrets(ctx, g, enrolauth.Filter{Endpoint: in.Endpoint, Device: pki.DeviceID(in.Device)}, pki.SecretID(in.Before), in.Limit)
	if err != nil {
		return nil, err
	}
	return each(all, string(next), wireSecret), nil
}

func (s *server) getSecret(ctx context.Context, g access.Permit, in *secretInput) (*answer[client.EnrolmentSecret], error) {
	found, use, err := s.cfg.Secrets.Secret(ctx, g, pki.SecretID(in.ID))
	if err != nil {
		return nil, err
	}
	out := wireSecret(found)
	if use != nil {
		out.Used = &client.SecretUse{Issuer: string(use.Issuer), Serial: use.Serial.String()}
	}
	return &answer[client.EnrolmentSecret]{out}, nil
}

func (s *server) revokeSecret(ctx context.Context, g access.Permit, in *secretInput) (*struct{}, error) {
	return nil, s.cfg.Secrets.Revoke(ctx, g, pki.SecretID(in.ID))
}

func wireSecret(s *enrolauth.Secret) client.EnrolmentSecret {
	return client.EnrolmentSecret{
		ID: string(s.ID), Endpoint: s.Endpoint, Name: s.Name, Device: string(s.Device), Subject: s.Subject, Once: s.Once, Chosen: len(s.Salt) > 0,
		Maker: s.Maker, Created: s.Created, Expires: s.Expires, Revoked: s.Revoked,
	}
}
