// Volumes for claims of the storage classes that name it: a directory each, "local" to the node that
// the scheduler chose. A grown claim grows at once: a directory has no size of its own.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	errors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	name          = "rmq.test/directory"
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	selectedNode  = "volume.kubernetes.io/selected-node"
	lookAgain     = 5 * time.Second
)

type provisioner struct {
	client    kubernetes.Interface
	directory string
	claims    corelisters.PersistentVolumeClaimLister
	volumes   corelisters.PersistentVolumeLister
	classes   storagelisters.StorageClassLister
}

// All that is to be done now. What fails is tried again at the next look.
func (p provisioner) look(ctx context.Context) {
	claims, err := p.claims.List(labels.Everything())
	if err != nil {
		log.Print(err)
		return
	}
	for _, claim := range claims {
		if claim.Spec.StorageClassName == nil || claim.DeletionTimestamp != nil {
			continue
		}
		class, err := p.classes.Get(*claim.Spec.StorageClassName)
		if err != nil || class.Provisioner != name {
			continue
		}
		if claim.Spec.VolumeName == "" {
			err = p.provision(ctx, claim, class)
		} else if claim.Status.Phase == core.ClaimBound {
			err = p.grow(ctx, claim)
		}
		if err != nil {
			log.Printf("%s/%s: %v", claim.Namespace, claim.Name, err)
		}
	}
	volumes, err := p.volumes.List(labels.Everything())
	if err != nil {
		log.Print(err)
		return
	}
	for _, volume := range volumes {
		if err := p.reclaim(ctx, volume); err != nil {
			log.Printf("%s: %v", volume.Name, err)
		}
	}
}

func (p provisioner) provision(ctx context.Context, claim *core.PersistentVolumeClaim, class *storage.StorageClass) error {
	node := claim.Annotations[selectedNode]
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storage.VolumeBindingWaitForFirstConsumer
	if node == "" && waits {
		return nil
	}
	volume := "pvc-" + string(claim.UID)
	path := filepath.Join(p.directory, volume)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// Not what the umask left of it: the kubelet does not change owners of local volumes.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	policy := core.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	spec := core.PersistentVolumeSpec{
		Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
		AccessModes:                   claim.Spec.AccessModes,
		PersistentVolumeReclaimPolicy: policy,
		StorageClassName:              class.Name,
		ClaimRef: &core.ObjectReference{
			Kind: "PersistentVolumeClaim", APIVersion: "v1",
			Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
		},
	}
	if node == "" {
		spec.HostPath = &core.HostPathVolumeSource{Path: path}
	} else {
		spec.Local = &core.LocalVolumeSource{Path: path}
		spec.NodeAffinity = &core.VolumeNodeAffinity{Required: &core.NodeSelector{
			NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{{
				Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{node},
			}}}},
		}}
	}
	annotations := map[string]string{provisionedBy: name}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: volume, Annotations: annotations}, Spec: spec,
	}, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// Gives a claim the size it asks for, as a resizer of a storage driver does: volume, then claim.
func (p provisioner) grow(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	wanted := claim.Spec.Resources.Requests[core.ResourceStorage]
	has := claim.Status.Capacity[core.ResourceStorage]
	if wanted.Cmp(has) <= 0 {
		return nil
	}
	volume, err := p.volumes.Get(claim.Spec.VolumeName)
	if err != nil {
		return err
	}
	if size := volume.Spec.Capacity[core.ResourceStorage]; wanted.Cmp(size) > 0 {
		volume = volume.DeepCopy()
		volume.Spec.Capacity[core.ResourceStorage] = wanted
		if _, err := p.client.CoreV1().PersistentVolumes().Update(ctx, volume, meta.UpdateOptions{}); err != nil {
			return err
		}
	}
	claim = claim.DeepCopy()
	claim.Status.Capacity[core.ResourceStorage] = wanted
	claim.Status.Conditions = nil
	_, err = p.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, meta.UpdateOptions{})
	return err
}

// Removes a volume that nobody claims any more.
func (p provisioner) reclaim(ctx context.Context, volume *core.PersistentVolume) error {
	ours := volume.Annotations[provisionedBy] == name && volume.DeletionTimestamp == nil
	policy := volume.Spec.PersistentVolumeReclaimPolicy
	if !ours || volume.Status.Phase != core.VolumeReleased || policy != core.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(p.directory, volume.Name)); err != nil {
		return err
	}
	return p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "of somebody who may change volumes and claims")
	directory := flag.String("dir", "", "where the volumes' directories are")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	factory := informers.NewSharedInformerFactory(client, 0)
	claims, volumes := factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes()
	p := provisioner{client, *directory, claims.Lister(), volumes.Lister(), factory.Storage().V1().StorageClasses().Lister()}

	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { tell() }, UpdateFunc: func(any, any) { tell() }, DeleteFunc: func(any) { tell() },
	}
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), volumes.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		p.look(ctx)
		select {
		case <-changed:
		case <-time.After(lookAgain):
		}
	}
}
