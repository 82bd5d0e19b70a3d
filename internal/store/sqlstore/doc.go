// Package sqlstore keeps everything that pando keeps in an SQL database: it is
// the one implementation of the store interfaces that the services declare.
//
// An exported method is one transaction; a change stores its event and its log
// leaves in the same one. Certificates, revocation entries, CRLs, profiles and
// events are never changed. Certificates come into being only through Commit.
//
// The package decides nothing: what may be issued or revoked, and by whom, is
// settled by its callers. It holds no signer and sees private keys only sealed.
package sqlstore
