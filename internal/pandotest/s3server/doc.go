// Package s3server runs versitygw, a service that speaks the S3 protocol and keeps
// buckets in a directory, for tests with the build tag system. It shares no code with
// pando: what works with it works with a service that others made.
//
// The folder versitygw is a module of its own, which pins the service and keeps its
// dependencies out of pando's. The first test that needs it builds it from there. The
// directory for temporary files must be on a file system with extended attributes.
package s3server
