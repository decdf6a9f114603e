"""Words of the general domain, English and French, as tables. Written for this project.

Nouns: English singular / plural, French singular / plural, gender. Adjectives: English, French masculine / feminine
(plural by rule), whether the French one stands before the noun. Verbs: English infinitive / third person / past /
participle, French infinitive / third person singular / plural / participle / future stem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Gender = Literal["m", "f"]


@dataclass(frozen=True)
class Noun:
    """A noun in both languages."""

    en: str
    en_plural: str
    fr: str
    fr_plural: str
    gender: Gender
    kind: str  # person, animal, thing, place, food


@dataclass(frozen=True)
class Adjective:
    """An adjective; French plural adds s unless the form ends in s or x."""

    en: str
    masculine: str
    feminine: str
    before: bool


@dataclass(frozen=True)
class Verb:
    """A verb; the French past takes avoir."""

    en: str
    en_third: str
    en_past: str
    en_participle: str
    fr: str
    fr_singular: str
    fr_plural: str
    fr_participle: str
    fr_future: str  # stem before -a, -ont


_NOUNS = {
    "person": """
farmer fermier m;teacher professeur m;doctor médecin m;girl fille f;boy garçon m;woman/women femme f;man/men homme m
child/children enfant m;neighbour voisin m;friend ami m;sister sœur f;brother frère m;mother mère f;father père m
baker boulanger m;student étudiant m;worker ouvrier m;king roi/rois m;queen reine f;driver chauffeur m
nurse infirmière f
tourist touriste m;singer chanteuse f;writer écrivain m;uncle oncle m;aunt tante f;cook cuisinier m;guard gardien m
painter peintre m;lawyer avocat m;soldier soldat m;grandmother grand-mère/grands-mères f;visitor visiteur m
engineer ingénieur m
""",
    "animal": """
dog chien m;cat chat m;horse cheval/chevaux m;cow vache f;bird oiseau/oiseaux m;mouse/mice souris/souris f
sheep/sheep mouton m
wolf/wolves loup m;fox/foxes renard m;rabbit lapin m;duck canard m;bear ours/ours m;hen poule f;pig cochon m
goat chèvre f
bee abeille f;lion lion m;elephant éléphant m;monkey singe m;frog grenouille f;spider araignée f;ant fourmi f
""",
    "thing": """
book livre m;table table f;chair chaise f;door porte f;window fenêtre f;car voiture f;letter lettre f;key clé f
lamp lampe f
box/boxes boîte f;bag sac m;hat chapeau/chapeaux m;shirt chemise f;coat manteau/manteaux m;shoe chaussure f
knife/knives couteau/couteaux m
cup tasse f;glass/glasses verre m;plate assiette f;bottle bouteille f;bed lit m;clock horloge f;picture image f
newspaper journal/journaux m
computer ordinateur m;phone téléphone m;train train m;bicycle vélo m;wheel roue f;machine machine f;tool outil m
wall mur m
flower fleur f;tree arbre m;stone pierre f;leaf/leaves feuille f;mountain montagne f;cloud nuage m;star étoile f
road route f
bridge pont m;song chanson f;story/stories histoire f;question question f;answer réponse f;problem problème m
idea idée f
map carte f;ticket billet m;gift cadeau/cadeaux m;basket panier m;rope corde f;mirror miroir m;blanket couverture f
result résultat m
measure mesure f;number nombre m;method méthode f;report rapport m;study/studies étude f;area zone f
level niveau/niveaux m;sample échantillon m
""",
    "place": """
house maison f;garden jardin m;kitchen cuisine f;school école f;market marché m;village village m;town ville f
forest forêt f
river rivière f;lake lac m;park parc m;street rue f;church/churches église f;hotel hôtel m;office bureau/bureaux m
station gare f
library/libraries bibliothèque f;hospital hôpital/hôpitaux m;shop magasin m;farm ferme f;beach/beaches plage f
island île f;field champ m
castle château/châteaux m;museum musée m;factory/factories usine f;valley vallée f;harbour port m;room chambre f
region région f
""",
    "food": """
bread pain m;water eau f;milk lait m;cheese fromage m;meat viande f;soup soupe f;rice riz m;salt sel m;sugar sucre m
butter beurre m
honey miel m;coffee café m;tea thé m;fruit fruit m;salad salade f;oil huile f;wine vin m;juice jus m
""",
}

_ADJECTIVES = """
big grand grande +;small petit petite +;young jeune jeune +;beautiful beau belle +;good bon bonne +
old vieux vieille +;new nouveau nouvelle +
red rouge rouge;green vert verte;black noir noire;white blanc blanche;blue bleu bleue;yellow jaune jaune
grey gris grise;brown brun brune
happy heureux heureuse;sad triste triste;tired fatigué fatiguée;strong fort forte;weak faible faible;rich riche riche
poor pauvre pauvre
heavy lourd lourde;light léger légère;clean propre propre;dirty sale sale;cold froid froide;warm chaud chaude
empty vide vide;full plein pleine
open ouvert ouverte;closed fermé fermée;quiet calme calme;dangerous dangereux dangereuse
important important importante;round rond ronde
dry sec sèche;wet mouillé mouillée;expensive cher chère;free libre libre;simple simple simple
difficult difficile difficile
famous célèbre célèbre;strange étrange étrange;deep profond profonde;modern moderne moderne;high élevé élevée
local local locale;slow lent lente
"""

_TRANSITIVE = """
see sees saw seen|voir voit voient vu verr;buy buys bought bought|acheter achète achètent acheté achèter
sell sells sold sold|vendre vend vendent vendu vendr
find finds found found|trouver trouve trouvent trouvé trouver;lose loses lost lost|perdre perd perdent perdu perdr
open opens opened opened|ouvrir ouvre ouvrent ouvert ouvrir;close closes closed closed|fermer ferme ferment fermé fermer
wash washes washed washed|laver lave lavent lavé laver;break breaks broke broken|casser casse cassent cassé casser
paint paints painted painted|peindre peint peignent peint peindr
draw draws drew drawn|dessiner dessine dessinent dessiné dessiner
carry carries carried carried|porter porte portent porté porter
push pushes pushed pushed|pousser pousse poussent poussé pousser
hide hides hid hidden|cacher cache cachent caché cacher
watch watches watched watched|regarder regarde regardent regardé regarder
love loves loved loved|aimer aime aiment aimé aimer;know knows knew known|connaître connaît connaissent connu connaîtr
follow follows followed followed|suivre suit suivent suivi suivr
visit visits visited visited|visiter visite visitent visité visiter
repair repairs repaired repaired|réparer répare réparent réparé réparer
choose chooses chose chosen|choisir choisit choisissent choisi choisir
bring brings brought brought|apporter apporte apportent apporté apporter
clean cleans cleaned cleaned|nettoyer nettoie nettoient nettoyé nettoier
use uses used used|utiliser utilise utilisent utilisé utiliser
build builds built built|construire construit construisent construit construir
measure measures measured measured|mesurer mesure mesurent mesuré mesurer
study studies studied studied|étudier étudie étudient étudié étudier
show shows showed shown|montrer montre montrent montré montrer
describe describes described described|décrire décrit décrivent décrit décrir
protect protects protected protected|protéger protège protègent protégé protéger
change changes changed changed|changer change changent changé changer
count counts counted counted|compter compte comptent compté compter
compare compares compared compared|comparer compare comparent comparé comparer
collect collects collected collected|recueillir recueille recueillent recueilli recueiller
cover covers covered covered|couvrir couvre couvrent couvert couvrir
"""

_INTRANSITIVE = """
sleep sleeps slept slept|dormir dort dorment dormi dormir;sing sings sang sung|chanter chante chantent chanté chanter
work works worked worked|travailler travaille travaillent travaillé travailler
dance dances danced danced|danser danse dansent dansé danser
run runs ran run|courir court courent couru courr;swim swims swam swum|nager nage nagent nagé nager
smile smiles smiled smiled|sourire sourit sourient souri sourir;laugh laughs laughed laughed|rire rit rient ri rir
cry cries cried cried|pleurer pleure pleurent pleuré pleurer
wait waits waited waited|attendre attend attendent attendu attendr
travel travels travelled travelled|voyager voyage voyagent voyagé voyager
speak speaks spoke spoken|parler parle parlent parlé parler
live lives lived lived|vivre vit vivent vécu vivr;jump jumps jumped jumped|sauter saute sautent sauté sauter
increase increases increased increased|augmenter augmente augmentent augmenté augmenter
disappear disappears disappeared disappeared|disparaître disparaît disparaissent disparu disparaîtr
"""

_EATING = """
eat eats ate eaten|manger mange mangent mangé manger;drink drinks drank drunk|boire boit boivent bu boir
"""


def _forms(word: str) -> tuple[str, str]:
    one, _, many = word.partition("/")
    return one, many or (one if one.endswith(("s", "x")) else one + "s")


def _nouns() -> list[Noun]:
    found = []
    for kind, table in _NOUNS.items():
        for entry in table.replace("\n", ";").split(";"):
            if entry.strip():
                en, fr, gender = entry.split()
                found.append(Noun(*_forms(en), *_forms(fr), "m" if gender == "m" else "f", kind))
    return found


def _adjectives() -> list[Adjective]:
    rows = [entry.split() for entry in _ADJECTIVES.replace("\n", ";").split(";") if entry.strip()]
    return [Adjective(row[0], row[1], row[2], len(row) == 4) for row in rows]


def _verbs(table: str) -> list[Verb]:
    rows = [entry.replace("|", " ").split() for entry in table.replace("\n", ";").split(";") if entry.strip()]
    return [Verb(*row) for row in rows]


NOUNS = _nouns()
ADJECTIVES = _adjectives()
TRANSITIVE, INTRANSITIVE, EATING = _verbs(_TRANSITIVE), _verbs(_INTRANSITIVE), _verbs(_EATING)
