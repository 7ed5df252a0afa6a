// Package model has models of the protocol's hard parts in Promela, the language of
// Spin, and a test that checks them. Each .pml file is one model. Its head names the
// functions that it models and the mistakes that it finds.
//
// Spin visits every state of a model: every order of steps, every loss of a connection
// and every crash within the bounds that the file states. A model has no payloads and no
// time, and three or four messages stand for all.
//
// A mistake is a macro that changes the model to what a bug would do. The test requires
// that the model passes, and that it fails with each of its mistakes. A model that
// accepts a mistake proves nothing.
//
// To see where a mistake leads, step by step (Spin writes files beside the model):
//
//	spin -DRELEASE_ON_PUBREC -run -safety quota.pml
//	spin -DRELEASE_ON_PUBREC -t -p -g -l quota.pml
package model
