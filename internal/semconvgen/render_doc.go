package main

func renderDoc(own, upstream *registry) []byte { return nil }
