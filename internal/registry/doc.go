// Package registry keeps what a maker knows of its devices: product lines, lots
// and sites, the devices themselves with their states, and how certificates are
// found by them.
//
// It decides on no certificate and makes none: enrolment asks it whether a place
// is one that may be named and whether a device may enrol.
package registry
