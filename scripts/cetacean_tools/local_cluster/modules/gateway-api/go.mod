module ecomarineai.org/local-cluster/gateway-api

go 1.26.4

require sigs.k8s.io/gateway-api v1.6.3
