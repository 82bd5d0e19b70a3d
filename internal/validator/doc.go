// Package validator asks services outside whether the challenge of a SCEP request holds,
// and tells them afterwards what became of the request. They have the shape of Microsoft
// Intune's SCEP validation for other certification authorities: ScepActions/validateRequest,
// successNotification and failureNotification, by OAuth 2.0 client credentials, at a base URL
// that is found by a list of services in Microsoft Graph or is configured.
//
// Microsoft documents a library and not the wire; what is here is what that library, public
// at github.com/microsoft/Intune-Resource-Access, sends and reads. It was tested against a
// fake of our own alone.
//
// Whatever is not a well-formed answer which says Success, is no: nothing is issued.
package validator
