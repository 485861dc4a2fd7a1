// Package watsonxtest is a fake of IBM watsonx.ai and of IBM Cloud IAM for tests. It is written from IBM's reference of
// both APIs and strict: a header, a query or a member that the reference does not have is a failure of the test.
//
// [Dialect] is the service's side for package backendtest; [IAM] and [Service] are servers.
package watsonxtest
