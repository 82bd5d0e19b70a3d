module github.com/pando-pki/pando

go 1.26
