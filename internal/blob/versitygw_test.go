//go:build system

package blob

import (
	"testing"

	"github.com/pando-pki/pando/internal/pandotest/s3server"
)

// others are services that others made.
var others = map[string]func(t *testing.T) service{
	"versitygw": func(t *testing.T) service { return versitygw(s3server.New(t)) },
	"versitygw with object lock": func(t *testing.T) service {
		s3 := s3server.New(t)
		s3.Lock(t)
		return versitygw(s3)
	},
}

func versitygw(s3 *s3server.Server) service {
	return service{s3.URL, s3.Bucket, s3server.Region, s3server.AccessKeyID, s3server.SecretAccessKey}
}
